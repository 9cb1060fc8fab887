import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ErrorCode } from '../../schemas/errors.ts'
import type { Attempt, Failed, Provenance, Situation, Usage } from '../../schemas/records.ts'
import { documentIn } from '../../streams/models/stand-in.ts'
import { FakeProvider, type Outcome } from '../fake-provider.ts'
import { type Finished, mustSitu, removeFolder, Situ, situ, temporaryFolder } from '../support/situ.ts'

const key = 'sk-secret-of-the-fault-tests-0815'
const maxAttempts = 3

const ok: Outcome = { kind: 'ok' }
const status = (code: number, message: string, more: object = {}): Outcome => ({
  kind: 'status',
  status: code,
  body: { error: { message } },
  ...more,
})
const says = (text: string | null, more: object = {}): Outcome => ({ kind: 'ok', text, ...more })
const raw = (body: string): Outcome => ({ kind: 'raw', body })
const always = (outcome: Outcome) => Array<Outcome>(maxAttempts).fill(outcome)
const times = (count: number, code: ErrorCode) => Array<ErrorCode>(count).fill(code)
/** A date header has whole seconds: one that is surely not over yet. */
const inTwoSeconds = () => new Date(Date.now() + 2_000).toUTCString()

interface Case {
  /** What the endpoint answers, call by call; a further call would be one too many. */
  script: (Outcome | (() => Outcome))[]
  /** The code of each call; null for one whose reply was taken. */
  calls: (ErrorCode | null)[]
  /** What the evidence of the dead letter holds. */
  evidence?: string
  /** Where the calls alone do not tell it: the code of the dead letter. */
  letter?: ErrorCode
  /** The second call begins at least so long after the first. */
  waitMs?: number
  /** Calls with a usage that counts; default: those that were answered. */
  counted?: number
}

const cases: Record<string, Case> = {
  fine: { script: [ok], calls: [null] },
  slow: { script: [{ ...ok, latencyMs: 400 }], calls: [null] },
  'rate-limited-seconds': {
    script: [status(429, 'slow down', { retryAfter: '1' }), ok],
    calls: ['MODEL_RATE_LIMITED', null],
    waitMs: 1_000,
  },
  'rate-limited-date': {
    script: [() => status(429, 'slow down', { retryAfter: inTwoSeconds() }), ok],
    calls: ['MODEL_RATE_LIMITED', null],
    waitMs: 900,
  },
  'rate-limited-long': {
    script: [...Array<Outcome>(5).fill(status(429, 'not yet', { retryAfter: '0' })), ok],
    calls: [...times(5, 'MODEL_RATE_LIMITED'), null],
  },
  'error-once': { script: [status(500, 'oops'), ok], calls: ['MODEL_UNAVAILABLE', null] },
  'error-always': {
    script: always(status(503, 'overloaded')),
    calls: times(3, 'MODEL_UNAVAILABLE'),
    evidence: 'overl',
  },
  'echoes-key': {
    script: always(status(500, `bad header: authorization Bearer ${key}`)),
    calls: times(3, 'MODEL_UNAVAILABLE'),
    evidence: 'Bearer [key]',
  },
  'hang-once': { script: [{ kind: 'hang' }, ok], calls: ['MODEL_TIMEOUT', null] },
  'hang-always': { script: always({ kind: 'hang' }), calls: times(3, 'MODEL_TIMEOUT') },
  'hang-in-body': { script: [{ kind: 'hang-in-body' }, ok], calls: ['MODEL_TIMEOUT', null] },
  'cut-once': { script: [{ kind: 'cut' }, ok], calls: ['MODEL_RESPONSE_BROKEN', null] },
  'cut-always': { script: always({ kind: 'cut' }), calls: times(3, 'MODEL_RESPONSE_BROKEN'), evidence: 'chatcmpl' },
  'reset-always': { script: always({ kind: 'reset' }), calls: times(3, 'MODEL_RESPONSE_BROKEN') },
  'broken-json': {
    script: always(raw('{"choices": [{"mess')),
    calls: times(3, 'MODEL_RESPONSE_BROKEN'),
    evidence: '{"choices": [{"mess',
  },
  'a-page-of-html': { script: [raw('<html>502'), ok], calls: ['MODEL_RESPONSE_BROKEN', null] },
  'no-choices': { script: always(raw('{"choices":[]}')), calls: times(3, 'MODEL_RESPONSE_BROKEN'), evidence: '[]' },
  'wrong-type-of-choices': { script: always(raw('{"choices":"x"}')), calls: times(3, 'MODEL_RESPONSE_BROKEN') },
  'wrong-type-of-content': {
    script: always(raw('{"choices":[{"message":{"content":5},"finish_reason":"stop"}]}')),
    calls: times(3, 'MODEL_RESPONSE_BROKEN'),
  },
  'error-with-status-200': { script: always(raw('{"error":"x"}')), calls: times(3, 'MODEL_RESPONSE_BROKEN') },
  'wrong-type-of-usage': { script: [{ ...ok, usage: { prompt_tokens: 'many' } }], calls: [null], counted: 0 },
  'wrong-type-of-model': { script: [{ ...ok, model: 7 }], calls: [null] },
  'filtered-reply': {
    script: [says('I could say', { finishReason: 'content_filter' })],
    calls: ['MODEL_CONTENT_FILTERED'],
    evidence: 'I could say',
  },
  'filtered-request': {
    script: [status(400, 'blocked by the content filter')],
    calls: ['MODEL_CONTENT_FILTERED'],
    evidence: 'blocked by',
  },
  refusal: {
    script: [says(null, { refusal: 'I will not' })],
    calls: ['MODEL_CONTENT_FILTERED'],
    evidence: 'I will not',
  },
  'context-length': {
    script: [status(400, "This model's maximum context length is 512 tokens")],
    calls: ['MODEL_CONTEXT_EXCEEDED'],
    evidence: '512 tokens',
  },
  'context-once': {
    script: [status(400, "This model's maximum context length is 4000 tokens"), ok],
    calls: ['MODEL_CONTEXT_EXCEEDED', null],
  },
  'bad-request': {
    script: [status(400, 'no such thing')],
    calls: ['MODEL_REQUEST_REFUSED'],
    evidence: 'no such thing',
  },
  'too-long': {
    script: Array<Outcome>(2).fill(says('{"user": "A teac', { finishReason: 'length' })),
    calls: times(2, 'MODEL_REPLY_CUT'),
    evidence: '{"user": "A teac',
  },
  'too-long-once': {
    script: [says('{"user": "A teac', { finishReason: 'length' }), ok],
    calls: ['MODEL_REPLY_CUT', null],
  },
  'cut-off-quietly': {
    script: Array<Outcome>(2).fill(says('{"user": "A nur')),
    calls: times(2, 'MODEL_REPLY_CUT'),
    evidence: '{"user": "A nur',
  },
  'cut-off-quietly-once': { script: [says('{"user": "A nur'), ok], calls: ['MODEL_REPLY_CUT', null] },
  'invalid-once': { script: [says('no JSON at all'), ok], calls: ['MODEL_REPLY_INVALID', null] },
  'invalid-twice': {
    script: [says('{"user": 1}'), says('again "nothing" \u0000 of use')],
    calls: times(2, 'MODEL_REPLY_INVALID'),
    evidence: 'again "nothing" \u0000 of use',
  },
  'empty-twice': { script: [says(null), says('')], calls: times(2, 'MODEL_REPLY_INVALID') },
  'invalid-then-cut': {
    script: [says('no JSON'), ...Array<Outcome>(2).fill(says('{"user": "A', { finishReason: 'length' }))],
    calls: ['MODEL_REPLY_INVALID', ...times(2, 'MODEL_REPLY_CUT')],
  },
  'invalid-then-error': {
    script: [says('no JSON'), status(500, 'oops'), ok],
    calls: ['MODEL_REPLY_INVALID', 'MODEL_UNAVAILABLE', null],
  },
  'error-then-invalid': {
    script: [status(500, 'oops'), says('no JSON'), ok],
    calls: ['MODEL_UNAVAILABLE', 'MODEL_REPLY_INVALID', null],
  },
  'all-at-once': {
    script: [status(429, 'slow', { retryAfter: '0' }), { kind: 'cut' }, says('no JSON'), ok],
    calls: ['MODEL_RATE_LIMITED', 'MODEL_RESPONSE_BROKEN', 'MODEL_REPLY_INVALID', null],
  },
}

const names = Object.keys(cases)
const letterNames = names.filter(name => cases[name]?.calls.at(-1) !== null)
const resultNames = names.filter(name => cases[name]?.calls.at(-1) === null)

function textOf(name: string): string {
  const sentences = Array.from({ length: 12 }, (_, n) => `The keeper of ${name} wrote down number ${n} before noon.`)
  return `Case ${name} of the faults.\n\n${sentences.join(' ')}`
}

function nameIn(text: string): string {
  return /Case ([a-z0-9-]+) of the faults/.exec(text)?.[1] ?? ''
}

interface Call {
  messages: string
  at: number
}

/** By name of the case. */
type ByName<T> = Record<string, T>

let folder: string
let data: string
let provider: FakeProvider
let healthy = false
const log: ByName<Call[]> = {}
let first: Finished
let situations: ByName<Situation>
let letters: ByName<Failed>

const environment = () => ({ OPENAI_BASE_URL: provider.url, OPENAI_API_KEY: key })
const runWords = (...more: string[]) => [
  ...['run', ...more, '--yes', '--model', 'any', '--data', data, '--concurrency', '64', '--backoff-ms', '10'],
  ...['--max-attempts', String(maxAttempts), '--model-timeout-seconds', '1'],
]

async function tap<T>(topic: string, folder = data): Promise<T[]> {
  const { stdout } = await mustSitu(['tap', topic, '--data', folder])
  return stdout
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))
    .flatMap(({ value }) => (value === null ? [] : [value]))
}

async function topics(...words: string[]) {
  return JSON.parse((await mustSitu(['topics', '--json', '--data', data, ...words])).stdout)
}

async function ingest(into: string, ids: readonly string[]): Promise<void> {
  const lines = ids.map(name => JSON.stringify({ text: textOf(name), url: `https://example.org/${name}` }))
  const file = join(folder, 'cases.jsonl')
  writeFileSync(file, `${lines.join('\n')}\n`)
  await mustSitu(['ingest', file, '--as', 'article', '--data', into])
  await mustSitu(['run', 'dedupe-document', '--data', into])
}

/** Names by the id of the document. */
async function namesById(): Promise<ByName<string>> {
  const documents = await tap<{ id: string; text: string }>('document')
  return Object.fromEntries(documents.map(({ id, text }) => [id, nameIn(text)]))
}

describe('a run against an endpoint with every fault', () => {
  beforeAll(async () => {
    folder = temporaryFolder()
    data = join(folder, 'data')
    provider = await FakeProvider.start(({ messages }) => {
      const name = nameIn(documentIn(messages))
      const calls = log[name] ?? []
      log[name] = calls
      calls.push({ messages: JSON.stringify(messages), at: performance.now() })
      if (healthy) return ok
      const outcome = cases[name]?.script[calls.length - 1]
      return (typeof outcome === 'function' ? outcome() : outcome) ?? status(418, 'one call too many')
    })
    await ingest(data, names)
    first = await situ(runWords('situate'), { env: environment() })
    const byId = await namesById()
    const named = <T>(pairs: [string | null, T][]) =>
      Object.fromEntries(pairs.map(([id, value]) => [byId[id ?? ''] ?? '', value]))
    situations = named((await tap<Situation>('situation')).map(value => [value.document.id, value]))
    letters = named((await tap<Failed>('failed')).map(value => [value.input, value]))
  }, 120_000)

  afterAll(async () => {
    await provider.close()
    removeFolder(folder)
  })

  it('ends with 0, tells how many dead letters stand, and keeps conservation', async () => {
    expect([first.code, first.stderr]).toEqual([0, expect.not.stringContaining('Error')])
    expect(first.stdout).toContain(`${letterNames.length} dead letters stand`)
    const { operators, conservation, topics: records } = await topics('--verify')
    expect(conservation).toBe('ok')
    const failed: Record<string, number> = {}
    for (const name of letterNames) {
      const code = cases[name]?.calls.at(-1) ?? ''
      failed[code] = (failed[code] ?? 0) + 1
    }
    const counters = { in: names.length, done: resultNames.length, out: resultNames.length, inFlight: 0, retried: 0 }
    expect(operators.situate).toMatchObject({ ...counters, failed })
    expect(records).toMatchObject({
      situation: { records: resultNames.length },
      failed: { records: letterNames.length },
    })
  })

  it.each(names)('%s: ends as it should, with the calls that it takes and no other', name => {
    const { script, calls, waitMs = 0, evidence, counted } = cases[name] as Case
    const sent = log[name] ?? []
    expect(sent).toHaveLength(script.length)
    expect((sent[1]?.at ?? Number.POSITIVE_INFINITY) - (sent[0]?.at ?? 0)).toBeGreaterThanOrEqual(waitMs)
    const code = calls.at(-1)
    const [result, letter] = [situations[name], letters[name]]
    const { attempts, usage, model, endpoint } = provenanceOf(name)
    expect([result === undefined, letter?.code ?? null]).toEqual([code !== null, code])
    expect(attempts.map(attempt => attempt.code)).toEqual(calls)
    expect([model, endpoint]).toEqual(['any', 'environment'])
    expect(usage).toEqual(sumOf(attempts))
    const answered = attempts.filter(attempt => attempt.usage !== null)
    expect(answered).toHaveLength(counted ?? attempts.filter(({ finishReason }) => finishReason !== null).length)
    // The endpoint tells seven cached tokens for each.
    expect(usage.cachedTokens).toBe(7 * answered.length)
    if (letter) {
      expect(letter.attempts).toBe(calls.length)
      expect(letter.message).not.toContain('\n')
      expect(letter.evidence.text ?? '').toContain(evidence ?? '')
    }
  })

  it('prints for each record the messages that were sent, byte for byte', async () => {
    for (const name of [...resultNames, 'invalid-twice', 'invalid-then-cut', 'too-long', 'error-always']) {
      const { code, stdout } = await situ([
        'trace',
        (situations[name] ?? letters[name])?.id ?? '',
        '--prompt',
        '--data',
        data,
      ])
      expect([name, code, stdout]).toEqual([name, 0, `${log[name]?.at(-1)?.messages}\n`])
    }
  }, 180_000)

  it('shows in situ failed show the raw reply', async () => {
    const show = async (name: string) =>
      JSON.parse((await mustSitu(['failed', 'show', letters[name]?.id ?? '', '--data', data])).stdout)
    expect((await show('invalid-twice')).evidence).toMatchObject({
      kind: 'reply',
      text: 'again "nothing" \u0000 of use',
    })
    expect((await show('too-long')).evidence).toMatchObject({ kind: 'reply', text: '{"user": "A teac' })
    expect((await show('broken-json')).evidence).toMatchObject({ kind: 'response', text: '{"choices": [{"mess' })
  })

  it('makes results of all dead letters once the endpoint is well, and counts them as retried', async () => {
    healthy = true
    for (const name of names) log[name] = []
    await mustSitu(['failed', 'retry', '--data', data])
    await mustSitu(runWords(), { env: environment() })
    const { operators, conservation, topics: records } = await topics('--verify')
    expect([conservation, records.failed.records, records.situation.records]).toEqual(['ok', 0, names.length])
    const counters = { in: names.length, done: names.length, retried: letterNames.length, failed: {}, inFlight: 0 }
    expect(operators.situate).toMatchObject(counters)
    expect(operators.instruct).toMatchObject({ in: names.length, done: names.length })
    // One call of instruct each, and one of situate for what had failed.
    for (const name of names) expect([name, log[name]?.length]).toEqual([name, letterNames.includes(name) ? 2 : 1])
    expect((await mustSitu(['failed', '--data', data])).stdout).toBe('no dead letters\n')
  }, 180_000)

  it('keeps the key out of everything', async () => {
    expect(first.stderr + first.stdout).not.toContain(key)
    for (const file of ['situ.db', 'situ.db-wal']) {
      expect(readFileSync(join(data, file), 'latin1')).not.toContain(key)
    }
    for (const topic of ['failed', 'situation', 'instruction', 'deduped', 'prompt', 'task']) {
      expect(JSON.stringify(await tap(topic))).not.toContain(key)
    }
  })
})

describe('an endpoint that refuses everything', () => {
  beforeEach(() => {
    folder = temporaryFolder()
    data = join(folder, 'data')
  })
  afterEach(() => removeFolder(folder))

  it.each([
    ['a wrong key', 401, `Incorrect API key provided: ${key}.`, 'MODEL_UNAUTHORIZED'],
    ['a wrong model', 404, 'The model any does not exist', 'MODEL_NOT_FOUND'],
  ])('%s ends the run with 1, one line and no dead letter', async (_, code, message, wanted) => {
    await using refusing = await FakeProvider.start(() => status(code, message))
    await ingest(data, names.slice(0, 20))
    const env = { OPENAI_BASE_URL: refusing.url, OPENAI_API_KEY: key }
    const finished = await situ(['run', '--yes', '--model', 'any', '--concurrency', '4', '--data', data], { env })
    const lines = finished.stderr.trim().split('\n')
    expect([finished.code, lines.length]).toEqual([1, 2])
    expect(lines[0]).toMatch(/^situ: model environment \(any\): status 40[14] /)
    expect(lines[1]).toContain(wanted)
    expect(finished.stderr).not.toContain(key)
    expect(refusing.calls.length).toBeLessThanOrEqual(4)
    const { topics: records, conservation } = await topics('--verify')
    expect([records.failed.records, records.situation.records, conservation]).toEqual([0, 0, 'ok'])
    await mustSitu(['run', '--model', 'stand-in', '--accept-change', '--data', data])
    expect((await topics('--verify')).topics.situation.records).toBe(20)
  })
})

describe('an endpoint that asks to wait', () => {
  beforeEach(() => {
    folder = temporaryFolder()
    data = join(folder, 'data')
  })
  afterEach(() => removeFolder(folder))

  it('is not waited for once the run is to end', async () => {
    await using busy = await FakeProvider.start(() => status(429, 'later', { retryAfter: '600' }))
    await ingest(data, ['fine'])
    const env = { OPENAI_BASE_URL: busy.url, OPENAI_API_KEY: key }
    const run = new Situ(['run', '--yes', '--model', 'any', '--log-level', 'debug', '--data', data], { env })
    await busy.arrived(1)
    await run.printed(({ stderr }) => stderr.includes('"model reply"'))
    run.child.kill('SIGINT')
    expect((await run.done).code).toBe(130)
    expect(busy.calls).toHaveLength(1)
  })
})

function provenanceOf(name: string): Provenance {
  const provenance = (situations[name] ?? letters[name])?.provenance
  if (!provenance) throw new Error(`${name} left neither a result nor a dead letter with provenance`)
  return provenance
}

function sumOf(attempts: readonly Attempt[]): Usage {
  const sum: Usage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0 }
  for (const { usage } of attempts) {
    sum.promptTokens += usage?.promptTokens ?? 0
    sum.cachedTokens += usage?.cachedTokens ?? 0
    sum.completionTokens += usage?.completionTokens ?? 0
  }
  return sum
}
