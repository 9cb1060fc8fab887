import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mustSitu, removeFolder, Situ, situ, temporaryFolder } from '../../support/situ.ts'

let folder: string
beforeAll(() => {
  folder = temporaryFolder()
})
afterAll(() => removeFolder(folder))

/** Starts the command and waits for its line. */
async function serve(words: readonly string[]): Promise<{ process: Situ; line: string }> {
  const process = new Situ(['fake-model', ...words])
  const line = Promise.withResolvers<string>()
  process.child.stdout?.on('data', () => {
    if (process.stdout.includes('\n')) line.resolve(process.stdout.trim())
  })
  process.done.then(({ stderr }) => line.reject(new Error(stderr)))
  return { process, line: await line.promise }
}

describe('situ fake-model', () => {
  it('serves a whole run, logs its calls, and ends cleanly after SIGTERM', async () => {
    const log = join(folder, 'log.jsonl')
    const { process, line } = await serve(['--json', '--log', log])
    const { url } = JSON.parse(line) as { url: string }
    const data = join(folder, 'data')
    const page = join(folder, 'page.txt')
    writeFileSync(page, 'The tide tables changed in March. Boats above nine metres need a permit now. '.repeat(9))
    await mustSitu(['ingest', page, '--data', data])
    await mustSitu(['run', '--yes', '--model', 'any', '--strict', '--data', data], { env: { OPENAI_BASE_URL: url } })
    process.child.kill('SIGTERM')
    expect((await process.done).code).toBe(0)
    const entries = readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .map(entry => JSON.parse(entry))
    expect(entries.map(({ event, step, outcome }) => [event, step, outcome ?? null])).toEqual([
      ['arrived', 'situation', null],
      ['ended', 'situation', 'ok'],
      ['arrived', 'instruction', null],
      ['ended', 'instruction', 'ok'],
    ])
  })

  it('says where it is in one line, and ends cleanly after SIGINT with a call open', async () => {
    const script = join(folder, 'hang.yaml')
    writeFileSync(script, 'phases: [{ faults: [{ kind: hang, share: 1 }] }]')
    const { process, line } = await serve(['--script', script])
    expect(line).toMatch(/^fake model at http:\/\/127\.0\.0\.1:\d+\/v1$/)
    const url = line.replace('fake model at ', '')
    const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'Hello.' }] })
    const hanging = fetch(`${url}/chat/completions`, { method: 'POST', body }).catch(() => 'cut')
    let open = 0
    while (open === 0) {
      open = ((await (await fetch(url.replace('/v1', '/calls'))).json()) as { open: number }).open
    }
    process.child.kill('SIGINT')
    expect((await process.done).code).toBe(130)
    expect(await hanging).toBe('cut')
  })

  it('names a wrong script and a port that is taken', async () => {
    const script = join(folder, 'wrong.yaml')
    writeFileSync(script, 'phases: [{ latency: 5 }]')
    const wrong = await situ(['fake-model', '--script', script])
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('phases.0: Unrecognized key: "latency"')])
    const { process, line } = await serve([])
    const port = line.match(/:(\d+)\//)?.[1] ?? ''
    const taken = await situ(['fake-model', '--port', port])
    expect([taken.code, taken.stderr]).toEqual([2, expect.stringContaining('EADDRINUSE')])
    process.child.kill('SIGTERM')
    await process.done
  })
})
