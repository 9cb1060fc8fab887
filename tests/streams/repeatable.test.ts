import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { documentIn } from '../../streams/models/stand-in.ts'
import { FakeProvider, type ProviderRequest } from '../fake-provider.ts'
import { seeded } from '../support/documents.ts'
import { mustSitu, removeFolder, situ, temporaryFolder } from '../support/situ.ts'

const documents = 48
/** Documents of a group get instructions that are near-duplicates of each other. */
const groups = 12

let folder: string

beforeAll(() => {
  folder = temporaryFolder()
})
afterAll(() => removeFolder(folder))

function textOf(number: number): string {
  const sentences = Array.from({ length: 12 }, (_, n) => `Mill ${number} ground ${n + number} sacks on day ${n}.`)
  return sentences.join(' ')
}

const numberIn = (text: string) => Number(/mill (\d+)/i.exec(text)?.[1])

function reply({ response_format, messages }: ProviderRequest): string | undefined {
  if (response_format?.json_schema?.name !== 'instruction') return undefined
  const number = numberIn(documentIn(messages))
  const words = Array.from({ length: 60 }, (_, n) => `word${(number % groups) * 100 + n}`)
  return JSON.stringify({ thought: 'Near to others.', instruction: `${words.join(' ')} last${number}` })
}

async function tap(topic: string, data: string, fields = 'topic,offset,key'): Promise<string[]> {
  const { stdout } = await mustSitu(['tap', topic, '--fields', fields, '--data', data])
  return stdout.split('\n').filter(line => line !== '')
}

/** Runs the chain with answers that come in an order of their own; returns that order and all that was written. */
async function runOrdered(input: string, name: string, seed: number) {
  const data = join(folder, name)
  const random = seeded(seed)
  const answered: string[] = []
  await using provider = await FakeProvider.start(async request => {
    await new Promise(resolve => setTimeout(resolve, random() * 80))
    answered.push(`${request.response_format?.json_schema?.name} ${numberIn(documentIn(request.messages))}`)
    const text = reply(request)
    return text === undefined ? { kind: 'ok' } : { kind: 'ok', text }
  })
  await mustSitu(['ingest', input, '--as', 'article', '--data', data])
  await mustSitu(['run', '--yes', '--ordered', '--model', 'any', '--data', data], {
    env: { OPENAI_BASE_URL: provider.url },
  })
  const written: string[] = []
  for (const topic of ['article', 'document', 'situation', 'instruction', 'deduped', 'dropped']) {
    written.push(...(await tap(topic, data)))
  }
  const twins = await tap('dropped', data, 'value.input,value.twin,value.reason')
  return { answered, written, twins }
}

describe('two runs with --ordered on fresh folders', () => {
  it('write the same ids in the same order in every topic, though the answers come in another one', async () => {
    const input = join(folder, 'mills.jsonl')
    const texts = Array.from({ length: documents }, (_, number) => textOf(number))
    // The same text but for case: dedupe-document keeps the first.
    const repeated = texts.slice(0, 8).map(text => text.toUpperCase())
    writeFileSync(input, [...texts, ...repeated].map(text => `${JSON.stringify({ text })}\n`).join(''))
    const first = await runOrdered(input, 'first', 1)
    const second = await runOrdered(input, 'second', 2)
    expect(second.answered).not.toEqual(first.answered)
    expect([...second.answered].sort()).toEqual([...first.answered].sort())
    expect(first.twins.filter(line => line.includes('near_duplicate'))).toHaveLength(documents - groups)
    expect(first.twins.filter(line => line.includes('repeat'))).toHaveLength(8)
    expect(first.written).toHaveLength(documents + 8 + 3 * documents + documents + 8)
    expect(second).toMatchObject({ written: first.written, twins: first.twins })
  }, 60_000)
})

describe('an edited prompt', () => {
  it('stops the run with both hashes; old and new records tell what was sent for them, byte for byte', async () => {
    const data = join(folder, 'edited')
    const sent: string[] = []
    await using provider = await FakeProvider.start(({ messages, response_format }) => {
      if (response_format?.json_schema?.name === 'instruction') sent.push(JSON.stringify(messages))
      return { kind: 'ok' }
    })
    const env = { OPENAI_BASE_URL: provider.url }
    const ingest = async (number: number) => {
      const input = join(folder, `mill-${number}.txt`)
      writeFileSync(input, textOf(number))
      await mustSitu(['ingest', input, '--as', 'article', '--data', data])
    }
    const prompt = join(folder, 'instruct.md')
    writeFileSync(prompt, (await mustSitu(['prompt', 'show', 'instruct'])).stdout)
    const run = (...more: string[]) =>
      situ(['run', '--yes', '--model', 'any', '--prompt', `instruct=${prompt}`, '--data', data, ...more], { env })
    const hash = async () => {
      const config = join(folder, 'edited.yaml')
      writeFileSync(config, `operators: { instruct: { prompt: ${prompt} } }`)
      return JSON.parse((await mustSitu(['prompt', 'show', 'instruct', '--json', '--config', config])).stdout).hash
    }
    await ingest(1)
    expect((await run()).code).toBe(0)
    const before = await hash()
    writeFileSync(
      prompt,
      (await mustSitu(['prompt', 'show', 'instruct'])).stdout.replace('# user', 'Be brief.\n\n# user'),
    )
    const after = await hash()
    expect(after).not.toBe(before)
    await ingest(2)
    const stopped = await run()
    expect([stopped.code, sent.length]).toEqual([2, 1])
    expect(stopped.stderr).toContain(`instruct: prompt was "${before}", is "${after}"`)
    expect((await run('--accept-change')).code).toBe(0)
    const ids = (await tap('instruction', data, 'key')).map(line => JSON.parse(line).key)
    expect([ids.length, sent.length, sent[1]?.includes('Be brief.')]).toEqual([2, 2, true])
    for (const [index, id] of ids.entries()) {
      expect(await situ(['trace', id, '--prompt', '--data', data])).toMatchObject({
        code: 0,
        stdout: `${sent[index]}\n`,
      })
    }
  }, 60_000)
})
