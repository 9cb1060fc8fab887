import { once } from 'node:events'
import { z } from 'zod'
import { messageOf, SituError } from '../../schemas/errors.ts'
import { CallLog } from '../fake-model/call-log.ts'
import { checkScript, readScript } from '../fake-model/script.ts'
import { ScriptedModel, type ScriptedModelOptions } from '../fake-model/scripted-model.ts'
import { defineCommand } from '../terminal/command.ts'

export const command = defineCommand({
  name: 'fake-model',
  summary: 'serves an OpenAI-compatible endpoint that answers and fails by a script, for rehearsals',
  usage: '[--script FILE] [--log FILE [--log-bodies]]',
  words: { min: 0, max: 0 },
  settings: [],
  options: {
    port: z.int().min(0).max(65_535).default(0).describe('Port; 0 takes a free one.'),
    host: z.string().min(1).default('127.0.0.1').describe('Address that it listens at.'),
    script: z
      .string()
      .min(1)
      .optional()
      .describe('What it does over time, YAML or JSON; without it, all calls succeed.'),
    log: z.string().min(1).optional().describe('File that gets a JSON line when a call arrives and when it ends.'),
    logBodies: z.boolean().default(false).describe('The log also holds the body of each request, as it came.'),
    seed: z.int().min(0).max(0xffffffff).default(0).describe('Of the faults, latencies and lengths of replies.'),
  },
  examples: ['situ fake-model --port 8000', 'situ fake-model --script outage.yaml --log calls.jsonl'],
  notes: [
    'It is no language model: the stand-in makes the replies. It prints its base URL and works until SIGINT or SIGTERM.',
    'POST /v1/chat/completions, /v1/embeddings and /v1/moderations, GET /v1/models. On the same port GET /calls counts',
    'the calls, GET /script shows the script, and POST /script replaces it and begins its time again.',
    '',
    'A script holds, each optional:',
    '  from           first-call (default) or start: when its time begins',
    '  apiKey, models others get 401 and 404',
    '  tokenizer      characters (default; four a token) or o200k: how usage is counted',
    '  contextTokens  longer prompts get 400      cachedTokens   prompt tokens that count as cached',
    '  phases         one after the other, each for forSeconds (the last one never ends), with',
    '    latencyMs           N, or { median, p99 } of a log-normal distribution',
    '    requestsPerSecond   with burst (default one second’s), requestsPerMinute, tokensPerMinute (the last 60 s, booked',
    '                        at arrival with what the call uses), maxConcurrent: above, 429',
    '    retryAfter          of 429 and 503: seconds, { date: SECONDS from now }, or exact',
    '    rateLimitHeaders    true: x-ratelimit-* as OpenAI sends them',
    '    down                refuse (the port is closed, open calls are cut) or 503',
    '    replyTokens         N or { median, p99 }: makes replies longer',
    '    faults              list of { kind, share }: status (with status, message, retryAfter), hang, hang-in-body, cut,',
    '                        reset, broken-json (shape: prose, cut, list, unquoted, torn), wrong-types, refusal,',
    '                        content-filter, length, empty, html-200',
    'Faults and lengths depend on the call, its repetition and the seed, not on the order of calls. Calls that a limit',
    'refuses do not count against it. A repeated call gets the same reply, unless its temperature is above 0.',
  ],
  async run({ config, output, stop }, { port, host, script: path, log: logPath, logBodies, seed }) {
    const script = path === undefined ? checkScript({}, 'script') : readScript(path)
    if (logBodies && logPath === undefined) throw new SituError('USAGE', '--log-bodies needs --log FILE')
    const log = logPath === undefined ? null : new CallLog(logPath, { bodies: logBodies })
    try {
      await using model = await start({ script, seed, ...(log ? { log } : {}) }, port, host)
      await (config.settings.json ? output.json({ url: model.url }) : output.line(`fake model at ${model.url}`))
      if (!stop.aborted) await once(stop, 'abort')
      return 0
    } finally {
      log?.close()
    }
  },
})

async function start(options: ScriptedModelOptions, port: number, host: string): Promise<ScriptedModel> {
  try {
    return await ScriptedModel.start(options, port, host)
  } catch (cause) {
    throw new SituError('CONFIGURATION_INVALID', `fake model at ${host}:${port}: ${messageOf(cause)}`, { cause })
  }
}
