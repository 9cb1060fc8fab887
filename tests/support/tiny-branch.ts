import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { attributionReply } from '../../operators/attribute.ts'
import { conceptReply } from '../../operators/conceive.ts'
import { instructionReply } from '../../operators/instruct.ts'
import { readReply } from '../../operators/reply.ts'
import { choiceReply } from '../../operators/retrieve.ts'
import { scoresReply } from '../../operators/score.ts'
import { situationReply } from '../../operators/situate.ts'
import type { Failed } from '../../schemas/records.ts'
import type { Status } from '../../streams/inspect/status.ts'
import type { ModelAddress } from '../services/model-server.ts'
import { type RecordedReply, RecordingProxy } from './recording-proxy.ts'
import { outcomeOfRegularExpression } from './replies.ts'
import { mustSitu } from './situ.ts'

const sample = join(import.meta.dirname, '../../streams/sample')
const files = ['gardening-blackcurrants.txt', 'engineering-log-pump-vibration.txt', 'minutes-allotment-society.md']

/** Paragraphs of the sample, each long enough for a document. */
export function shortTexts(count: number): string[] {
  return files
    .flatMap(file => readFileSync(join(sample, file), 'utf8').split(/\n\s*\n/))
    .map(paragraph => paragraph.replace(/\s+/g, ' ').trim())
    .filter(({ length }) => length > 150 && length < 500)
    .slice(0, count)
}

/** Instructions whose words are in those paragraphs, so that documents are found for them. */
const asked = [
  'My blackcurrants have big bud mites. Which buds do I pick off, and when do I prune the bushes?',
  'The bearing of our pump hums since Monday and the vibration grows. What do I measure first?',
  'Write the minutes of our allotment society: the water tank leaks, and the treasurer objects.',
  'How do I propagate blackcurrants from cuttings in autumn without losing half of them?',
  'The pump was aligned twice and the vibration is back. Write a plan for the next shutdown.',
]

interface Step {
  schema: z.ZodType
  task: string
  user: string
  /** Tokens of a reply. */
  limit: number
  /** A reply about a bakery, short, for the model often repeats it. */
  example: object
}

const document = '<document>\n{{document}}\n</document>'
const instruction = '<instruction>\n{{instruction}}\n</instruction>'
const scene = {
  user: 'A baker in a small town.',
  motivation: 'The oven broke today.',
  scene: 'She has 40 loaves to sell by noon.',
  ability: 'Plan a morning.',
  knowledge: 'How dough rises.',
  extraInformation: 'Her list of orders.',
  output: 'A plan by hours.',
}
const score: Step = {
  schema: scoresReply,
  task: 'Judge the message by seven criteria.',
  user: instruction,
  limit: 260,
  example: {
    specificity: { analysis: 'Names the loaves.', score: 1 },
    domainKnowledge: { analysis: 'Needs a baker.', score: 1 },
    complexity: { analysis: 'Several steps.', score: 1 },
    problemSolving: { analysis: 'Must be planned.', score: 1 },
    creativity: { analysis: 'Little room.', score: 0 },
    technicalAccuracy: { analysis: 'Times matter.', score: 1 },
    realWorldApplication: { analysis: 'Bread is sold.', score: 1 },
  },
}

/** Prompts as the built-in ones are made, but short: a tiny model on two busy cores reads a hundred tokens a second. */
const steps: Readonly<Record<string, Step>> = {
  'score-real': score,
  conceive: {
    schema: conceptReply,
    task: 'Name what the person is after, and two words of the message to search for.',
    user: instruction,
    limit: 100,
    example: { intention: 'Sell the bread in time.', keywords: ['bread', 'oven'] },
  },
  retrieve: {
    schema: choiceReply(3),
    task: 'Which document helps with the message?',
    user: `${instruction}\n{{documents}}`,
    limit: 100,
    example: { thought: 'It needs an oven, and document 1 has one.', document: 1 },
  },
  attribute: {
    schema: attributionReply,
    task: 'Imagine who wrote the message, and why.',
    user: `${document}\nMessage: {{instruction}}`,
    limit: 200,
    example: { domain: 'baking', ...scene, thought: 'The time is short.' },
  },
  situate: {
    schema: situationReply,
    task: 'Imagine one person who needs help with the document.',
    user: document,
    limit: 160,
    example: scene,
  },
  instruct: {
    schema: instructionReply,
    task: 'Write one short question that this person asks about the document. Fill each field with one sentence.',
    user: `${document}\n{{user}} {{motivation}}`,
    limit: 80,
    example: { thought: 'The oven is what matters.', instruction: 'How do I bake 40 loaves by noon without my oven?' },
  },
  score,
}

/** What the real model server is asked for, and how. */
export interface TinyOptions {
  instructions: number
  documents: number
  /** `json_schema` holds the model to the shape by a grammar; `none` leaves the form to it. */
  structuredOutput: 'json_schema' | 'none'
}

export interface TinyRun {
  status: Status
  letters: Failed[]
  seconds: number
  replies: RecordedReply[]
}

/** Instructions of people and documents through the recipe `paper`, with a real and very small model. */
export async function runTiny(folder: string, server: ModelAddress, options: TinyOptions): Promise<TinyRun> {
  const proxy = await RecordingProxy.start(server.url)
  try {
    writeConfiguration(folder, proxy, server.model, options)
    const inside = { cwd: folder }
    await ingest(folder, 'texts.jsonl', shortTexts(options.documents))
    await ingest(folder, 'chats.jsonl', asked.slice(0, options.instructions), ['--as', 'real-instruction'])
    const { seconds } = await mustSitu(['run', '--recipe', 'paper', '--yes'], inside)
    const status: Status = JSON.parse((await mustSitu(['topics', '--verify', '--json'], inside)).stdout)
    return { status, letters: await readLetters(folder), seconds, replies: proxy.replies }
  } finally {
    await proxy.close()
  }
}

function writeConfiguration(
  folder: string,
  proxy: RecordingProxy,
  model: string,
  { structuredOutput }: TinyOptions,
): void {
  const names = Object.entries(steps)
  for (const [name, { task, user, example }] of names) {
    const system = `${task} Reply with JSON:\n${sampleOf(name)}\nFor a page about bread:\n${JSON.stringify(example)}`
    writeFileSync(join(folder, `${name}.md`), `# system\n${system}\n\n# user\n${user}\n`)
  }
  const endpoint = { model, contextTokens: 1_200, structuredOutput }
  const configuration = {
    concurrency: 2,
    maxAttempts: 2,
    backoffMs: 10,
    maxCalls: 200,
    models: Object.fromEntries(
      names.map(([name, { limit }]) => [
        `for-${name}`,
        { ...endpoint, baseUrl: proxy.urlFor(name), parameters: { temperature: 0.8, seed: 1, max_tokens: limit } },
      ]),
    ),
    operators: {
      extract: { minimumCharacters: 100 },
      ...Object.fromEntries(names.map(([name]) => [name, { ...ownOptions[name], ...modelOf(name) }])),
    },
  }
  writeFileSync(join(folder, 'situ.config.yaml'), JSON.stringify(configuration))
}

/** Without a threshold, so that later steps get what a model without judgement has judged. */
const ownOptions: Readonly<Record<string, object>> = {
  'score-real': { minimumScore: 0 },
  score: { minimumScore: 0 },
  retrieve: { minimumRelevance: 0.05, candidates: 2, maxCandidateTokens: 64 },
  attribute: { maxDocumentTokens: 64 },
  situate: { demonstrations: 0, maxDocumentTokens: 64 },
  instruct: { demonstrations: 0, maxDocumentTokens: 64 },
}

function modelOf(name: string): object {
  return { model: `for-${name}`, prompt: `${name}.md` }
}

/** The shape of a reply as the built-in prompts show it: each field with its description. */
function sampleOf(name: string): string {
  const schema = z.toJSONSchema(schemaOf(name), { io: 'input' })
  return JSON.stringify(sampleValue(schema as JsonSchema))
}

interface JsonSchema {
  type?: string
  description?: string
  properties?: Record<string, JsonSchema>
}

function sampleValue({ type, description, properties }: JsonSchema): unknown {
  if (properties)
    return Object.fromEntries(Object.entries(properties).map(([name, inner]) => [name, sampleValue(inner)]))
  if (type === 'array') return ['first concept', 'second concept']
  return type === 'string' ? description : 0
}

function schemaOf(name: string): z.ZodType {
  const found = steps[name]
  if (!found) throw new Error(`${name} is no step of the recipe`)
  return found.schema
}

async function ingest(folder: string, name: string, texts: readonly string[], words: readonly string[] = []) {
  writeFileSync(join(folder, name), texts.map(text => `${JSON.stringify({ text })}\n`).join(''))
  await mustSitu(['ingest', name, ...words], { cwd: folder })
}

async function readLetters(folder: string): Promise<Failed[]> {
  const { stdout } = await mustSitu(['tap', 'failed'], { cwd: folder })
  return stdout
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line).value as Failed)
}

/** Of some replies: those that were taken, and those of them that are no answer. */
export interface Yield {
  replies: number
  taken: number
  wrong: number
}

/** What a reader takes of the replies of a step. @param caller - Null for all. */
export function yieldOf(replies: readonly RecordedReply[], reader: Reader, caller: string | null = null): Yield {
  const own = replies.filter(reply => caller === null || reply.caller === caller)
  const taken = own.flatMap(reply => {
    const value = reader(reply)
    return value === null ? [] : [isAnswer(value, reply)]
  })
  return { replies: own.length, taken: taken.length, wrong: taken.filter(isRight => !isRight).length }
}

/** Null for a reply that is not taken. */
type Reader = (reply: RecordedReply) => unknown

/** As every operator reads. */
export function readAsOperator({ caller, text, finishReason }: RecordedReply): unknown {
  try {
    return readReply(text, finishReason === 'length' ? 'length' : 'stop', schemaOf(caller))
  } catch {
    return null
  }
}

/** As the reference code reads: whatever its regular expression finds is taken. */
export function readAsReference({ text }: RecordedReply): unknown {
  return outcomeOfRegularExpression({ title: '', text, wanted: 'invalid' })
}

/**
 * Whether a value is an answer, by rules of its own: it has the shape, all its texts stand in the reply, and none of them
 * is that of the sample in the prompt.
 */
function isAnswer(value: unknown, { caller, text }: RecordedReply): boolean {
  if (!schemaOf(caller).safeParse(value).success) return false
  const samples = new Set(textsIn(JSON.parse(sampleOf(caller))).map(squeeze))
  const reply = squeeze(unescaped(text))
  return textsIn(value).every(found => reply.includes(squeeze(found)) && !samples.has(squeeze(found)))
}

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return value !== null && typeof value === 'object' ? Object.values(value).flatMap(textsIn) : []
}

/** Letters and digits alone: what was escaped or mended differs in nothing else. */
function squeeze(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '')
}

function unescaped(text: string): string {
  return text
    .replace(/\\u([0-9a-f]{4})/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    .replace(/\\[nrt]/g, ' ')
}

/** The steps that ask a model. */
export const tinySteps: readonly string[] = Object.keys(steps)
