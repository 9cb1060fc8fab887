import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type SqliteSpendingOptions, SqliteSpendingStore } from '../../../../streams/spending/stores/sqlite.ts'
import { keyOf, paidReply } from '../../../contracts/spending-store.ts'
import { expectError } from '../../../contracts/transport/fixture.ts'
import { Child, killChildren } from '../../../support/child.ts'

const script = new URL('spending-child.ts', import.meta.url).pathname
const isRoot = process.getuid?.() === 0
/** Nobody: the suite runs as root in CI, and root may read and write everything. */
const user = isRoot ? 65534 : 0
const canMount = isRoot && spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0

describe('sqlite spending store, faults and processes', () => {
  let parent: string
  let folder: string
  let path: string
  const opened: SqliteSpendingStore[] = []
  beforeEach(() => {
    parent = mkdtempSync(join(tmpdir(), 'situ-spending-'))
    folder = join(parent, 'data')
    path = join(folder, 'spending.db')
  })
  afterEach(async () => {
    killChildren()
    for (const store of opened.splice(0)) await store.close()
    chmodSync(parent, 0o755)
    rmSync(parent, { recursive: true, force: true })
  })

  async function open(options: Partial<SqliteSpendingOptions> = {}): Promise<SqliteSpendingStore> {
    const store = await SqliteSpendingStore.open(folder, { create: true, ...options })
    opened.push(store)
    return store
  }

  async function fillAndClose(count = 300): Promise<void> {
    const store = await open()
    const reply = paidReply('text '.repeat(200))
    await Promise.all(Array.from({ length: count }, (_, index) => store.putReply(keyOf(index), reply)))
    await store.close()
  }

  it('names both versions of a file that a newer Situ wrote', async () => {
    await fillAndClose(1)
    const sqlite = new DatabaseSync(path)
    sqlite.exec('PRAGMA user_version = 99')
    sqlite.close()
    await expectError(() => open(), 'DATA_VERSION', path, 'data version 99', 'up to 1')
  })

  it('leaves the database of another program alone', async () => {
    mkdirSync(folder)
    const sqlite = new DatabaseSync(path)
    sqlite.exec('CREATE TABLE other (id INTEGER)')
    sqlite.close()
    await expectError(() => open(), 'DATA_CORRUPT', path, 'another program')
  })

  it('names a file that is no database', async () => {
    mkdirSync(folder)
    writeFileSync(path, 'This is a text of some length, and no database at all. '.repeat(20))
    await expectError(() => open(), 'DATA_CORRUPT', path)
  })

  it('names the file where a page is damaged', async () => {
    await fillAndClose()
    const bytes = readFileSync(path)
    bytes.fill(0xa5, 8192)
    writeFileSync(path, bytes)
    const store = await open()
    await expectError(() => store.getReply(keyOf(1)), 'DATA_CORRUPT', path)
    await expectError(() => store.putReply(keyOf(999), paidReply('text')), 'DATA_CORRUPT', path)
  })

  it('names the reply with a flipped bit, and serves the others', async () => {
    await fillAndClose(3)
    const sqlite = new DatabaseSync(path)
    const row = sqlite.prepare('SELECT id, value FROM reply WHERE key = ?').get(Buffer.from(keyOf(1), 'hex'))
    const value = Buffer.from(row?.value as Uint8Array)
    value.writeUInt8(value.readUInt8(value.length - 1) ^ 1, value.length - 1)
    sqlite.prepare('UPDATE reply SET value = ? WHERE id = ?').run(value, Number(row?.id))
    sqlite.close()
    const store = await open()
    await expectError(() => store.getReply(keyOf(1)), 'DATA_CORRUPT', path, keyOf(1))
    expect(await store.getReply(keyOf(2))).not.toBeNull()
  })

  it('waits for the writes of others, and names the file when it has waited too long', async () => {
    const store = await open({ lockTimeoutMs: 60 })
    const other = new DatabaseSync(path)
    other.exec('BEGIN IMMEDIATE')
    const late = [store.putReply(keyOf(1), paidReply('one')), store.putReply(keyOf(2), paidReply('two'))]
    for (const put of late) await expectError(() => put, 'DATA_IN_USE', path, 60)
    other.exec('ROLLBACK')
    other.close()
    await store.putReply(keyOf(3), paidReply('three'))
    expect(await store.cacheSummary()).toMatchObject({ replies: 1 })
  })

  it('reads, but does not write, where it was opened for reading', async () => {
    await fillAndClose(2)
    const store = await open({ create: false, readOnly: true })
    expect(await store.cacheSummary()).toMatchObject({ replies: 2 })
    await expectError(() => store.putReply(keyOf(5), paidReply('no')), 'DATA_UNREADABLE', path)
  })

  it('takes nothing after its end', async () => {
    const store = await open()
    await store.close()
    await expectError(() => store.putReply(keyOf(1), paidReply('late')), 'TRANSPORT_CLOSED')
  })

  it.each([
    ['may not be written', 0o555, 'write'],
    ['has no rights at all', 0o000, 'write'],
    ['has no rights at all', 0o000, 'read'],
  ])('names the folder that %s (mode %o), opened to %s', async (_what, mode, how) => {
    await fillAndClose(1)
    chmodSync(parent, 0o755)
    chmodSync(path, 0o444)
    chmodSync(folder, mode)
    const answer = await new Child(script, ['open', folder, how], { user }).next()
    chmodSync(folder, 0o755)
    expect(answer).toMatchObject({ code: 'DATA_UNREADABLE', message: expect.stringContaining(folder) })
  })

  it.skipIf(!canMount)('keeps what it kept on a full disk', async () => {
    const mount = join(parent, 'disk')
    mkdirSync(mount)
    const around = ['unshare', '-m', 'sh', '-c', `mount -t tmpfs -o size=4m tmpfs ${mount} && exec "$0" "$@"`]
    const child = new Child(script, ['fill', join(mount, 'data')], { around })
    expect(await child.next()).toMatchObject({ code: 'DISK_FULL', message: expect.stringContaining('spending.db') })
    const { kept, read } = (await child.next()) as { kept: number; read: number }
    expect(kept).toBeGreaterThan(5)
    expect(read).toBe(kept)
  })

  it('loses no reply that it said it keeps when the process is killed', async () => {
    const kept: number[] = []
    for (let round = 0; round < 3; round++) {
      const child = new Child(script, ['put', folder])
      for (let count = 0; count < 200; count++) kept.push(((await child.next()) as { kept: number }).kept)
      await child.kill()
      const store = await open()
      for (const index of kept) {
        expect((await store.getReply(keyOf(index)))?.reply.text).toContain(`reply ${index} `)
      }
      await store.close()
    }
  })

  it('gives the space of cleared replies back to the disk', async () => {
    await fillAndClose(2000)
    const before = readFileSync(path).length
    const store = await open()
    expect(await store.clearReplies(Number.MAX_SAFE_INTEGER)).toBe(2000)
    await store.close()
    expect(readFileSync(path).length).toBeLessThan(before / 3)
  })

  it('is shared by four processes: one run, no turn twice, one reply for a key, no spending lost', async () => {
    const count = 60
    const children = ['a', 'b', 'c', 'd'].map(worker => new Child(script, ['work', folder, worker, String(count)]))
    const runs = await Promise.all(children.map(child => child.next()))
    expect(new Set(runs.map(answer => (answer as { run: string }).run)).size).toBe(1)
    const answers = (await Promise.all(children.map(child => child.next()))) as { waits: number[] }[]
    const turns = answers.flatMap(({ waits }) => waits).sort((left, right) => left - right)
    const interval = 61_500 / (600 - 24 + 1)
    // The moments are as the children see them, up to some milliseconds after the store's own.
    expect((turns.at(-1) ?? 0) - (turns[0] ?? 0)).toBeGreaterThan((4 * count - 24 - 1) * interval - 1000)
    const store = await open()
    expect(await store.cacheSummary()).toMatchObject({ replies: count })
    const { run } = runs[0] as { run: string }
    const sums = await store.spend('e', run, { calls: 0, tokens: 0, usd: 0 })
    expect(sums.run).toEqual({ calls: 4 * count, tokens: 40 * count, usd: 2 * count })
  })
})
