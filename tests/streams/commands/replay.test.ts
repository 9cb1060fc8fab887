import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { mustSitu, removeFolder, Situ, situ, temporaryFolder } from '../../support/situ.ts'

const documents = 40
const mainTopics = ['page', 'article', 'document', 'situation', 'instruction', 'deduped', 'dropped']

let folder: string
let data: string
let prompt: string

beforeAll(async () => {
  folder = temporaryFolder()
  data = join(folder, 'data')
  prompt = join(folder, 'short.md')
  const pages = Array.from({ length: documents }, (_, number) => {
    const lines = Array.from(
      { length: 15 },
      (_, line) =>
        `In year ${number * 41 + line} the keeper of lighthouse ${number} counted ${line * number + 3} ships.`,
    )
    return JSON.stringify({ url: `https://example.org/${number}`, text: lines.join(' ') })
  })
  writeFileSync(join(folder, 'pages.jsonl'), pages.join('\n'))
  await mustSitu(['ingest', join(folder, 'pages.jsonl'), '--data', data])
  await mustSitu(['run', '--model', 'stand-in', '--data', data])
  const { stdout } = await mustSitu(['prompt', 'show', 'instruct', '--data', data])
  writeFileSync(prompt, stdout.replace('Then write `instruction`', 'Then, briefly, write `instruction`'))
}, 120_000)

afterAll(() => removeFolder(folder))

async function tap(topic: string, ...more: string[]): Promise<string> {
  return (await mustSitu(['tap', topic, '--data', data, ...more])).stdout
}

function records(lines: string): { value: Record<string, never> & { id: string; text: string }; topic: string }[] {
  return lines
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))
}

async function status() {
  return JSON.parse((await mustSitu(['topics', '--verify', '--json', '--data', data])).stdout)
}

const replayWords = () => [
  ...['replay', 'instruct', '--variant', 'short', '--prompt', prompt, '--model', 'stand-in'],
  ...['--through', 'dedupe-instruction', '--data', data, '--log-level', 'debug', '--json'],
]

const callsOf = (stderr: string, stage: string) =>
  stderr.split('\n').filter(line => line.includes('"model call"') && line.includes(`"stage":"${stage}"`)).length

it('replays an operator beside the main line, promotes what it wrote, and removes what was there before', async () => {
  const before = await Promise.all(mainTopics.map(topic => tap(topic)))

  // Interrupted in the middle, and given again.
  const first = new Situ([...replayWords(), '--stand-in-latency-ms', '100', '--concurrency', '2'])
  await first.printed(({ stderr }) => callsOf(stderr, 'instruct') >= 6)
  first.child.kill('SIGINT')
  const interrupted = await first.done
  expect(interrupted.code).toBe(130)
  const finished = await mustSitu(replayWords())
  const stderr = interrupted.stderr + finished.stderr
  expect([callsOf(stderr, 'instruct'), callsOf(stderr, 'situate')]).toEqual([documents, 0])
  expect(callsOf(finished.stderr, 'instruct')).toBeLessThan(documents)

  expect(await Promise.all(mainTopics.slice(0, -1).map(topic => tap(topic)))).toEqual(before.slice(0, -1))
  const [main, short] = [records(before[4] ?? ''), records(await tap('instruction', '--variant', 'short'))]
  expect(new Set([...main, ...short].map(({ value }) => value.id)).size).toBe(2 * documents)
  expect(short[0]?.topic).toBe('instruction.short')
  expect(await tap('instruction.short')).toBe(await tap('instruction', '--variant', 'short'))
  const drops = records(await tap('dropped', '--variant', 'short'))
  const { operators, topics, conservation } = await status()
  expect(conservation).toBe('ok')
  expect(operators['instruct.short']).toMatchObject({ in: documents, out: documents, lag: 0 })
  expect(operators['dedupe-instruction.short']).toMatchObject({ in: documents, out: documents - drops.length })
  expect(topics['deduped.short'].records).toBe(documents - drops.length)

  const listed = JSON.parse((await mustSitu(['variants', '--json', '--data', data])).stdout)
  expect(listed.map(({ name }: { name: string }) => name)).toEqual(['main', 'short'])
  expect(listed[1].differs).toEqual([expect.objectContaining({ operator: 'instruct', key: 'prompt' })])
  const shown = (await mustSitu(['variants', '--data', data])).stdout
  expect(shown).toContain(`records    instruction ${documents}, deduped ${documents - drops.length}`)

  const out = join(folder, 'short.jsonl')
  await mustSitu(['export', 'deduped', '--variant', 'short', '--out', out, '--data', data])
  const deduped = records(await tap('deduped', '--variant', 'short'))
  expect(readFileSync(out, 'utf8').trim().split('\n')).toHaveLength(deduped.length)

  const promoted = JSON.parse((await mustSitu(['variants', 'promote', 'short', '--json', '--data', data])).stdout)
  const { earlier } = promoted
  expect(promoted).toMatchObject({ promoted: 'short', operators: ['instruct', 'dedupe-instruction'], fresh: [] })
  expect(records(await tap('deduped')).map(({ value }) => value.id)).toEqual(deduped.map(({ value }) => value.id))
  expect(await tap('instruction', '--variant', earlier)).toBe(before[4])
  const after = await status()
  expect(after.operators.instruct).toMatchObject({ in: documents, out: documents })
  expect(after.operators[`instruct.${earlier}`]).toMatchObject({ in: documents, out: documents })
  const run = ['run', '--model', 'stand-in', '--data', data]
  expect(await situ(run)).toMatchObject({ code: 2, stderr: expect.stringContaining('prompt was') })
  await mustSitu([...run, '--prompt', `instruct=${prompt}`])
  const [kept] = deduped
  const traced = JSON.parse((await mustSitu(['trace', kept?.value.id ?? '', '--json', '--data', data])).stdout)
  expect(traced.back.map(({ topic }: { topic: string }) => topic)).toEqual([
    ...['page', 'article', 'document', 'situation', 'instruction.short'],
  ])
  await mustSitu(['trace', kept?.value.id ?? '', '--prompt', '--data', data])

  const remove = ['variants', 'remove', earlier, '--data', data]
  expect(await situ(remove)).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') })
  await mustSitu([...remove, '--yes'])
  expect((await status()).conservation).toBe('ok')
  expect(records(await tap('deduped')).length).toBe(deduped.length)
}, 180_000)

it('refuses another prompt under the same name, and shows both', async () => {
  const words = ['replay', 'instruct', '--variant', 'twice', '--model', 'stand-in', '--limit', '2', '--data', data]
  await mustSitu(words)
  const { code, stderr } = await situ([...words, '--prompt', prompt])
  const hash = /prompt was "([0-9a-f]{32})", is "([0-9a-f]{32})"/
  expect([code, hash.test(stderr)]).toEqual([2, true])
  expect(stderr).toContain('CONFIGURATION_CHANGED')
  expect(await situ([...words.slice(0, -4), '--limit', '3', '--data', data])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('limit was 2, is 3'),
  })
}, 60_000)

it.each([
  [['replay', 'instruct', '--variant', 'main'], 'main'],
  [['replay', 'instruct', '--variant', 'a/b'], 'a/b'],
  [['replay', 'instruct'], '--variant'],
  [['replay', 'extract', '--variant', 'x', '--prompt', 'p.md'], 'extract has no prompt'],
  [['replay', 'instruct', '--variant', 'x', '--model', 'stand-in', '--through', 'situate'], 'dedupe-instruction'],
  [['replay', 'instruct', '--variant', 'x', '--model', 'stand-in', '--from', 'noon'], 'noon'],
  [['tap', 'deduped', '--variant', 'nothing'], 'nothing'],
  [['variants', 'promote', 'nothing'], 'nothing'],
  [['variants', 'promot', 'x'], 'did you mean promote?'],
  [['variants', 'remove', 'main', '--yes'], 'main line'],
])(
  '%j exits 2 and names what is wrong',
  async (words, named) => {
    const { code, stderr } = await situ([...words, '--data', data])
    expect([code, stderr]).toEqual([2, expect.stringContaining(named)])
  },
  30_000,
)
