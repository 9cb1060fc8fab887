import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openEmbedded } from '../../../streams/transports/embedded/index.ts'
import { databasePath } from '../../../streams/transports/embedded/layout.ts'
import { expectError, keysTo, numbered, outgoing, readAll } from '../../contracts/transport/fixture.ts'
import { Child, killChildren } from './child.ts'
import { DataFolder } from './data-folder.ts'

const topic = 'page'
const isRoot = process.getuid?.() === 0
/** Nobody: the suite runs as root in CI, and root may read and write everything. */
const user = isRoot ? 65534 : 0
const canMount = isRoot && spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0

describe('embedded transport, faults of the folder', () => {
  let folder: DataFolder
  let path: string
  beforeEach(() => {
    folder = new DataFolder()
    path = databasePath(folder.path)
  })
  afterEach(async () => {
    killChildren()
    chmodSync(folder.parent, 0o755)
    await folder.remove()
  })

  async function fillAndClose(count = 50, value = Buffer.alloc(3000, 'text ')): Promise<void> {
    const transport = await folder.open()
    await transport.createTopics([{ name: topic, partitions: 1, compacted: false }])
    await transport.produce(numbered(topic, count, { value }))
    await transport.close()
  }

  it('says that there is no data folder where a command only reads', async () => {
    const message = `no data folder at ${folder.path}; situ ingest makes one`
    await expectError(() => openEmbedded(folder.path, { create: false }), 'DATA_UNREADABLE', message)
    await expectError(() => openEmbedded(folder.path, { create: false, readOnly: true }), 'DATA_UNREADABLE', message)
  })

  it.skipIf(!existsSync('/proc/self'))('names a folder that no system lets anybody make', async () => {
    await expectError(() => openEmbedded('/proc/none/data', { create: true }), 'DATA_UNREADABLE', '/proc/none')
  })

  it('names the path where a file stands in the place of the folder', async () => {
    writeFileSync(folder.path, '')
    await expectError(() => folder.open(), 'DATA_UNREADABLE', folder.path)
    await expectError(() => folder.open({ create: false }), 'DATA_UNREADABLE', folder.path)
  })

  it('names both versions of a folder that a newer Situ wrote', async () => {
    await fillAndClose()
    const sqlite = new DatabaseSync(path)
    sqlite.exec('PRAGMA user_version = 99')
    sqlite.close()
    await expectError(() => folder.open(), 'DATA_VERSION', path, 'data version 99', 'up to 1')
    await expectError(() => folder.open({ create: false, readOnly: true }), 'DATA_VERSION', path)
  })

  it('leaves the database of another program alone', async () => {
    mkdirSync(folder.path)
    const sqlite = new DatabaseSync(path)
    sqlite.exec('CREATE TABLE other (id INTEGER)')
    sqlite.close()
    await expectError(() => folder.open(), 'DATA_CORRUPT', path, 'another program')
  })

  it('names a file that is no database', async () => {
    mkdirSync(folder.path)
    writeFileSync(path, 'This is a text of some length, and no database at all. '.repeat(20))
    await expectError(() => folder.open(), 'DATA_CORRUPT', path)
  })

  it('names a file that was cut off', async () => {
    await fillAndClose(2000, Buffer.from('small'))
    truncateSync(path, 20_000)
    const read = async () => readAll(await folder.open(), topic)
    await expectError(read, 'DATA_CORRUPT', path)
  })

  it('names topic, partition and offset of a damaged page', async () => {
    await fillAndClose(2000, Buffer.from('small'))
    const bytes = readFileSync(path)
    bytes.fill(0xa5, 8192 * 20)
    writeFileSync(path, bytes)
    const transport = await folder.open()
    await expectError(() => readAll(transport, topic), 'DATA_CORRUPT', path, `topic ${topic}, partition 0, offset`)
  })

  it('names topic, partition and offset of a message with a flipped bit', async () => {
    await fillAndClose(3)
    const sqlite = new DatabaseSync(path)
    const row = sqlite.prepare('SELECT id, value FROM message ORDER BY id LIMIT 1 OFFSET 1').get()
    const value = Buffer.from(row?.value as Uint8Array)
    value.writeUInt8(value.readUInt8(value.length - 1) ^ 1, value.length - 1)
    sqlite.prepare('UPDATE message SET value = ? WHERE id = ?').run(value, Number(row?.id))
    sqlite.close()
    const transport = await folder.open()
    await expectError(() => readAll(transport, topic), 'DATA_CORRUPT', `topic ${topic}, partition 0, offset 1:`)
    expect(await transport.get(topic, 'key-0')).not.toBeNull()
  })

  it('waits for the writes of others, and names the file when it has waited too long', async () => {
    const transport = await folder.open({ lockTimeoutMs: 60 })
    await transport.createTopics([{ name: topic, partitions: 1, compacted: false }])
    const other = new DatabaseSync(path)
    other.exec('BEGIN IMMEDIATE')
    await expectError(() => transport.produce([outgoing(topic, 'late')]), 'DATA_IN_USE', path, 60)
    expect(await readAll(transport, topic)).toEqual([])
    other.exec('ROLLBACK')
    other.close()
    await transport.produce([outgoing(topic, 'now')])
    expect(await readAll(transport, topic)).toHaveLength(1)
  })

  it('reads, but does not write, where it was opened for reading', async () => {
    await fillAndClose(5)
    const writer = await folder.open()
    const reader = await folder.open({ create: false, readOnly: true })
    await writer.produce([outgoing(topic, 'more')])
    expect(await readAll(reader, topic)).toHaveLength(6)
    await expectError(() => reader.produce([outgoing(topic, 'no')]), 'DATA_UNREADABLE', path)
  })

  it.each([
    ['a folder that may not be written', 0o555, 'write'],
    ['a folder that may not be written', 0o555, 'read'],
    ['a folder without any rights', 0o000, 'write'],
    ['a folder without any rights', 0o000, 'read'],
  ])('names %s (mode %o), opened to %s', async (_what, mode, how) => {
    await fillAndClose()
    chmodSync(folder.parent, 0o755)
    chmodSync(path, 0o444)
    chmodSync(folder.path, mode)
    const answer = await new Child(['open', folder.path, how], { user }).next()
    chmodSync(folder.path, 0o755)
    expect(answer).toMatchObject({ code: 'DATA_UNREADABLE', message: expect.stringContaining(folder.path) })
  })

  it('names a folder that can not be made', async () => {
    chmodSync(folder.parent, 0o555)
    const answer = await new Child(['open', folder.path, 'write'], { user }).next()
    expect(answer).toMatchObject({ code: 'DATA_UNREADABLE', message: expect.stringContaining(folder.path) })
  })

  it('keeps what is committed where the file can not grow any more, and goes on when it can', async () => {
    const around = ['sh', '-c', 'ulimit -f 4000; exec "$0" "$@"']
    const child = new Child(['fill', folder.path, topic], { around })
    expect(await child.next()).toMatchObject({ code: 'DISK_FULL', message: expect.stringContaining(path) })
    const { committed, read } = (await child.next()) as { committed: number; read: number }
    expect(committed).toBeGreaterThan(5)
    expect(read).toBe(committed)
    await child.ended()
    const transport = await folder.open()
    await transport.produce([outgoing(topic, 'after')])
    const keys = (await readAll(transport, topic)).map(message => message.key)
    expect(keys).toEqual([...keysTo(committed).map(key => key.slice('key-'.length)), 'after'])
  })

  it.skipIf(!canMount)('keeps what is committed on a full disk', async () => {
    const mount = join(folder.parent, 'disk')
    mkdirSync(mount)
    const around = ['unshare', '-m', 'sh', '-c', `mount -t tmpfs -o size=4m tmpfs ${mount} && exec "$0" "$@"`]
    const child = new Child(['fill', join(mount, 'data'), topic], { around })
    expect(await child.next()).toMatchObject({
      code: 'DISK_FULL',
      message: expect.stringContaining('the disk is full'),
    })
    const { committed, read } = (await child.next()) as { committed: number; read: number }
    expect(committed).toBeGreaterThan(5)
    expect(read).toBe(committed)
  })
})
