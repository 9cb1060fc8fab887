import { PassThrough } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { beforeEach, describe, expect, it } from 'vitest'
import { hash } from '../../../operators/hash.ts'
import type { Noun, Records } from '../../../schemas/records.ts'
import { Serde } from '../../../schemas/serde.ts'
import type { Clock } from '../../../streams/clock.ts'
import {
  defaultIngestOptions,
  dryRun,
  Ingest,
  type IngestCounts,
  type IngestOptions,
} from '../../../streams/ingest/ingest.ts'
import { type IngestNoun, ingestNouns } from '../../../streams/ingest/ingest-records.ts'
import { defaultInputOptions, type InputEvent, readInputs } from '../../../streams/inputs/read-inputs.ts'
import { MemoryRegistry } from '../../../streams/registries/memory.ts'
import { instructionFields } from '../../../streams/sources/source.ts'
import { sum } from '../../../streams/task/task-record.ts'
import { MemoryTransport } from '../../../streams/transports/memory.ts'
import type { OutgoingMessage, Transport } from '../../../streams/transports/transport.ts'
import { chunksOf } from '../sources/collect.ts'

/** Time stands still; waits end when the test says so. */
class ManualClock implements Clock {
  readonly waits: { ms: number; end: () => void }[] = []
  now = () => 1_700_000_000_000

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      this.waits.push({ ms, end: resolve })
      signal?.addEventListener('abort', () => resolve())
    })
  }
}

let transport: MemoryTransport
let produced: OutgoingMessage[][]
let serde: Serde
let clock: ManualClock

beforeEach(async () => {
  transport = new MemoryTransport({ now: () => 1_700_000_000_000 })
  await transport.createTopics(
    [...ingestNouns, 'failed', 'task'].map(name => ({
      name: `t.${name}`,
      partitions: 2,
      compacted: name === 'failed' || name === 'task',
    })),
  )
  produced = []
  serde = new Serde(new MemoryRegistry())
  clock = new ManualClock()
})

function ingest(options: Partial<IngestOptions> = {}, limits: Transport['limits'] = transport.limits): Ingest {
  const recording: Pick<Transport, 'produce' | 'limits'> = {
    limits,
    produce: (messages, finish) => {
      produced.push([...messages])
      return transport.produce(messages, finish)
    },
  }
  const ports = {
    transport: recording,
    serde,
    clock,
    topicName: (noun: Noun) => `t.${noun}`,
    partitionOf: (noun: Noun) => (noun === 'failed' ? 1 : 0),
  }
  return new Ingest(ports, { ...defaultIngestOptions, name: 'u1', ...options })
}

function fromStdin(
  stdin: AsyncIterable<Uint8Array>,
  source = defaultInputOptions.source,
): (signal: AbortSignal) => AsyncIterable<InputEvent> {
  return signal => readInputs(['-'], { ...defaultInputOptions, source, stdin }, signal)
}

function run(content: string | Uint8Array, options: Partial<IngestOptions> = {}): Promise<IngestCounts> {
  return ingest(options).run(fromStdin(chunksOf(content)), new AbortController().signal)
}

/** As of `situ ingest --as instruction` and the like. */
function runInstructions(rows: readonly object[], as: IngestNoun): Promise<IngestCounts> {
  const source = { ...defaultInputOptions.source, textField: instructionFields, instructions: true }
  const content = rows.map(row => `${JSON.stringify(row)}\n`).join('')
  return ingest({ as }).run(fromStdin(chunksOf(content), source), new AbortController().signal)
}

async function records<N extends Noun>(noun: N, partition = 0): Promise<Records[N][]> {
  const found: Records[N][] = []
  for await (const { messages } of transport.read(`t.${noun}`, partition, 0)) {
    for (const message of messages) found.push(await serde.decode(noun, message.value))
  }
  return found
}

/** What holds for every ingest, in the counts and in each task record. */
function conserved({ in: taken, done, alreadyThere, failed }: IngestCounts): boolean {
  return taken === done + alreadyThere + sum(failed)
}

describe('Ingest', () => {
  it('writes pages whose id is the hash of the content alone', async () => {
    await run('{"text":"a","url":"u","title":"t"}\n{"html":"<p>b</p>"}\n')
    expect(await records('page')).toEqual([
      { id: hash('a'), url: 'u', title: 't', content: 'a', format: 'text', source: 'stdin line 1' },
      { id: hash('<p>b</p>'), url: null, title: null, content: '<p>b</p>', format: 'html', source: 'stdin line 2' },
    ])
    expect(produced[0]?.[0]).toMatchObject({ key: hash('a'), shared: 'a', ifAbsent: true })
  })

  it('writes clean texts as articles', async () => {
    await run('{"text":"a","url":"u"}\n', { as: 'article' })
    expect(await records('article')).toEqual([
      { id: hash('a'), url: 'u', title: null, text: 'a', language: null, source: 'stdin line 1', input: null },
    ])
    expect(await records('page')).toEqual([])
  })

  it('writes instructions that were made elsewhere, with their document, language and id', async () => {
    const document = { title: 'T', url: 'https://example.org/', text: 'Some text.' }
    const rows = [
      { id: 'a-1', text: 'a', language: 'en-GB', document },
      { instruction: 'b', document: null },
      { id: 3, text: 'a' },
    ]
    expect(await runInstructions(rows, 'instruction')).toMatchObject({ in: 3, done: 3 })
    const none = { thought: '', situation: null, provenance: null }
    expect(await records('instruction')).toEqual([
      {
        ...none,
        id: hash('a', 'Some text.'),
        text: 'a',
        language: 'en',
        document: { id: hash('Some text.'), ...document, language: null, tokens: 3 },
        source: 'stdin line 1 (a-1)',
      },
      { ...none, id: hash('b'), text: 'b', language: null, document: null, source: 'stdin line 2' },
      { ...none, id: hash('a'), text: 'a', language: null, document: null, source: 'stdin line 3 (3)' },
    ])
  })

  it('takes the first turn of the user of a conversation as a real instruction', async () => {
    const rows = [
      {
        conversations: [
          { from: 'system', value: 'Be brief.' },
          { from: 'human', value: 'a' },
        ],
      },
      {
        messages: [{ role: 'assistant', content: 'Hello' }, ...['b', 'c'].map(content => ({ role: 'user', content }))],
      },
      { messages: [{ role: 'user', content: [{ type: 'image_url' }, { type: 'text', text: 'd' }] }] },
      { messages: [{ role: 'assistant', content: 'No user here.' }] },
      { messages: 'none' },
    ]
    expect(await runInstructions(rows, 'real-instruction')).toMatchObject({ in: 5, failed: { INPUT_MALFORMED: 2 } })
    expect((await records('real-instruction')).map(({ text }) => text)).toEqual(['a', 'b', 'd'])
    const [letter] = await records('failed', 1)
    expect(letter?.message).toBe(
      'stdin line 4: no text in text, instruction, prompt, query, and no turn of a user; the fields are messages (an array)',
    )
  })

  it('counts what is there already, in the same batch and in another ingest', async () => {
    expect(await run('{"text":"a"}\n{"text":"b"}\n{"text":"a","url":"u"}\n')).toEqual({
      in: 3,
      done: 2,
      alreadyThere: 1,
      failed: {},
      unreadable: 0,
    })
    expect(await run('{"text":"b"}\n{"text":"c"}\n', { name: 'u2' })).toMatchObject({ in: 2, done: 1, alreadyThere: 1 })
    expect((await records('page')).map(page => page.url)).toEqual([null, null, null])
    const tasks = await records('task')
    expect(tasks.map(task => [task.id, task.counters.in, task.counters.out, task.counters.dropped])).toEqual([
      ['ingest-u1', 3, 2, { already_there: 1 }],
      ['ingest-u2', 2, 1, { already_there: 1 }],
    ])
  })

  it('writes a fault to failed with source, evidence and time', async () => {
    expect(await run('{"text":"a"}\nbroken\n')).toMatchObject({ in: 2, done: 1, failed: { INPUT_MALFORMED: 1 } })
    expect(await records('failed', 1)).toMatchObject([
      {
        operator: 'ingest',
        code: 'INPUT_MALFORMED',
        message: expect.stringMatching(/^stdin line 2: no JSON: /),
        input: null,
        attempts: 1,
        evidence: { kind: 'bytes', text: 'broken', base64: false, size: 6, cut: false },
        source: 'stdin line 2',
        place: null,
        value: null,
        time: clock.now(),
      },
    ])
  })

  it('counts a standing fault once, and another input at the same place as another fault', async () => {
    const content = '{"text":"a"}\nbroken\n{"no":1}\n{"text":"b"}\nworse\n'
    const first = await run(content)
    expect(first).toMatchObject({ in: 5, done: 2, alreadyThere: 0, failed: { INPUT_MALFORMED: 3 } })
    const second = await run(content, { name: 'u2' })
    expect(second).toMatchObject({ in: 5, done: 0, alreadyThere: 5, failed: {} })
    const third = await run('{"text":"a"}\nbroken differently\n', { name: 'u3' })
    expect(third).toMatchObject({ in: 2, done: 0, alreadyThere: 1, failed: { INPUT_MALFORMED: 1 } })
    expect([first, second, third].every(conserved)).toBe(true)
    const standing = (await records('task')).map(({ counters }) => counters.failed.INPUT_MALFORMED ?? 0)
    expect(standing.reduce((total, count) => total + count)).toBe((await records('failed', 1)).length)
  })

  it('keeps every batch, and each task record, conserved', async () => {
    const lines = Array.from({ length: 1700 }, (_, number) =>
      number % 7 === 0 ? '{"x":' : `{"text":"${number % 900}"}`,
    )
    const seen: IngestCounts[] = []
    const counts = await run(lines.join('\n'), { onCommit: each => seen.push(each) })
    expect(counts.in).toBe(1700)
    expect(seen.length).toBeGreaterThan(4)
    expect(seen.every(conserved)).toBe(true)
    expect(counts.done).toBe((await records('page')).length)
    expect(sum(counts.failed)).toBe((await records('failed', 1)).length)
    expect((await records('task')).at(-1)?.counters).toEqual({
      in: 1700,
      done: counts.done,
      out: counts.done,
      dropped: { already_there: counts.alreadyThere },
      failed: counts.failed,
      retried: 0,
      inFlight: 0,
      spent: [],
    })
  })

  it('fills a batch up to 500 records or 4 MB', async () => {
    await run(Array.from({ length: 1200 }, (_, number) => `{"text":"${number}"}`).join('\n'))
    expect(produced.map(batch => batch.length)).toEqual([500, 500, 200])
    produced = []
    await run(Array.from({ length: 9 }, (_, number) => `{"text":"${number}${'x'.repeat(1_000_000)}"}`).join('\n'))
    expect(produced.map(batch => batch.length)).toEqual([4, 4, 1])
  })

  it('writes what waits 100 ms after the first record, though the input is silent', async () => {
    const stdin = new PassThrough()
    const committed = Promise.withResolvers<IngestCounts>()
    const running = ingest({ onCommit: committed.resolve }).run(fromStdin(stdin), new AbortController().signal)
    stdin.write('{"text":"a"}\n{"text":"b"}\n')
    await expect.poll(() => clock.waits.length).toBe(1)
    expect(produced).toHaveLength(0)
    expect(clock.waits[0]?.ms).toBe(100)
    clock.waits[0]?.end()
    expect(await committed.promise).toMatchObject({ in: 2, done: 2 })
    stdin.end('{"text":"c"}\n')
    expect(await running).toMatchObject({ in: 3, done: 3 })
  })

  it('keeps what was read when it is aborted while the input is silent', async () => {
    const stdin = new PassThrough()
    const controller = new AbortController()
    const running = ingest().run(fromStdin(stdin), controller.signal)
    stdin.write('{"text":"a"}\n{"text":"b"}\n{"text":"part of')
    await expect.poll(() => clock.waits.length).toBe(1)
    controller.abort()
    expect(await running).toMatchObject({ in: 2, done: 2 })
    expect(await records('page')).toHaveLength(2)
  })

  it('takes as many inputs as the limit, and leaves the reading', async () => {
    const stdin = new PassThrough()
    stdin.write('{"text":"a"}\nbroken\n{"text":"b"}\n{"text":"c"}\n')
    const counts = await ingest({ limit: 3 }).run(fromStdin(stdin), new AbortController().signal)
    expect(counts).toMatchObject({ in: 3, done: 2, failed: { INPUT_MALFORMED: 1 } })
    expect(stdin.destroyed).toBe(true)
  })

  it('makes a fault of a record that the transport does not take, and goes on', async () => {
    const limits = { maxMessageBytes: 1000, maxCommitBytes: 1000 }
    const content = `{"text":"${'x'.repeat(2000)}"}\n{"text":"b"}\n`
    const counts = await ingest({}, limits).run(fromStdin(chunksOf(content)), new AbortController().signal)
    expect(counts).toMatchObject({ in: 2, done: 1, failed: { RECORD_TOO_LARGE: 1 } })
    expect(await records('failed', 1)).toMatchObject([
      { source: 'stdin line 1', message: expect.stringMatching(/are more than the 1000 that the transport takes$/) },
    ])
  })

  it('cuts the evidence of a fault for a log that takes only small messages', async () => {
    const limits = { maxMessageBytes: 60_000, maxCommitBytes: 60_000 }
    const content = `{"text":"${'x'.repeat(280_000)}"}\n{"text":"b"}\n`
    const counts = await ingest({}, limits).run(fromStdin(chunksOf(content)), new AbortController().signal)
    expect(counts).toMatchObject({ in: 2, done: 1, failed: { RECORD_TOO_LARGE: 1 } })
    const [failed] = await records('failed', 1)
    expect(failed).toMatchObject({ evidence: { size: 280_000, cut: true } })
    expect(JSON.stringify(failed).length).toBeLessThan(60_000)
  })

  it('counts what can not be opened apart from the inputs', async () => {
    const read = (signal: AbortSignal) =>
      readInputs(['/no/such/file', '-'], { ...defaultInputOptions, stdin: chunksOf('words') }, signal)
    const counts = await ingest().run(read, new AbortController().signal)
    expect(counts).toEqual({ in: 1, done: 1, alreadyThere: 0, failed: {}, unreadable: 1 })
  })

  it('passes an error of the transport on, counts only what was committed, and leaves the reading', async () => {
    const stdin = new PassThrough()
    stdin.write(Array.from({ length: 700 }, (_, number) => `{"text":"${number}"}\n`).join(''))
    const failing = ingest({ onCommit: () => void transport.close() })
    const running = failing.run(fromStdin(stdin), new AbortController().signal)
    await expect.poll(() => clock.waits.length).toBe(2)
    clock.waits[1]?.end()
    await expect(running).rejects.toMatchObject({ code: 'TRANSPORT_CLOSED' })
    expect(failing.counts).toMatchObject({ in: 500, done: 500 })
    expect(stdin.destroyed).toBe(true)
  })

  it('keeps what was read before the reading fails', async () => {
    async function* events(signal: AbortSignal) {
      yield* fromStdin(chunksOf('{"text":"a"}\n'))(signal)
      throw new Error('a fault of the reader')
    }
    await expect(ingest().run(events, new AbortController().signal)).rejects.toThrow('a fault of the reader')
    expect(await records('page')).toHaveLength(1)
  })

  it('gives the lines of a cut file and one fault', async () => {
    const lines = Array.from({ length: 3000 }, (_, number) => `{"text":"${number} ${Math.sin(number)}"}\n`).join('')
    const packed = gzipSync(lines).subarray(0, 20_000)
    const counts = await run(packed)
    expect(counts).toMatchObject({ failed: { INPUT_CUT: 1 } })
    expect(counts.done).toBeGreaterThan(1000)
    expect(await records('failed', 1)).toMatchObject([{ source: 'stdin byte 20000', evidence: { kind: 'none' } }])
    expect(await run(packed, { name: 'u2' })).toMatchObject({ done: 0, failed: {}, alreadyThere: counts.in })
  })

  it('writes nothing of an empty input', async () => {
    expect(await run('')).toMatchObject({ in: 0 })
    expect(produced).toEqual([])
  })
})

describe('dryRun', () => {
  it('counts and shows what would be read', async () => {
    const shown: string[] = []
    const events = fromStdin(chunksOf('{"text":"a"}\nbroken\n{"text":"a"}\n{"text":"c"}\n'))(
      new AbortController().signal,
    )
    const onEvent = (event: InputEvent) => shown.push(event.kind === 'unreadable' ? event.path : event.source)
    expect(await dryRun(events, { limit: 3, onEvent })).toEqual({
      in: 3,
      done: 2,
      alreadyThere: 0,
      failed: { INPUT_MALFORMED: 1 },
      unreadable: 0,
    })
    expect(shown).toEqual(['stdin line 1', 'stdin line 2', 'stdin line 3'])
  })
})
