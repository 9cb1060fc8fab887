import { z } from 'zod'
import { SituError } from '../schemas/errors.ts'
import type { ChatMessage, FinishReason } from './model.ts'
import type { Context, Correction } from './operator.ts'
import { endsTooEarly, type Found, findValues } from './reply/find-values.ts'
import { findPlaceholder } from './reply/placeholders.ts'

/** Bytes of a rejected reply that go back to the model, and into provenance. */
export const maxRejectedBytes = 32 * 1024

/**
 * Takes the checked object out of a model's reply.
 *
 * - Bare JSON, fenced JSON, JSON before, after or between prose, and after reasoning in `<think>`; a list of one object
 *   or an object around the object counts as the object.
 * - Mended are commas, comments, quotes, line ends in strings, and single backslashes of formulas. A mended object may
 *   hold no unknown key: that is how one that was torn apart looks.
 * - Where the reply holds several objects with fields of the schema, the last one decides, whether it is right or
 *   wrong: those before it are drafts or examples.
 * - JSON that ends early is never taken, whatever the finish reason says.
 *
 * @param schema - An object schema; the reply's unknown keys are left out.
 * @param plain - Reads a form that is no JSON.
 * @throws {SituError} MODEL_REPLY_INVALID, MODEL_REPLY_CUT or MODEL_CONTENT_FILTERED, with the raw reply.
 */
export function readReply<T>(text: string, finishReason: FinishReason, schema: z.ZodType<T>, plain?: PlainForm<T>): T {
  const evidence = { evidence: { kind: 'reply', content: text } } as const
  if (finishReason === 'content_filter') {
    throw new SituError('MODEL_CONTENT_FILTERED', 'the provider filtered the reply', evidence)
  }
  if (finishReason === 'length') throw new SituError('MODEL_REPLY_CUT', 'the reply reached its limit', evidence)
  const outcome = read(text, schema, plain)
  if ('value' in outcome) return outcome.value
  if ('cut' in outcome) throw new SituError('MODEL_REPLY_CUT', `the reply ends inside ${outcome.cut}`, evidence)
  throw new SituError('MODEL_REPLY_INVALID', `the reply can't be used: ${outcome.problem}`, evidence)
}

/** A value, or what is wrong; undefined for an answer, without its reasoning, that is not of this form. */
export type PlainForm<T> = (answer: string) => { value: T } | { problem: string } | undefined

/**
 * Calls the model and reads its reply; an invalid one gets one corrective turn.
 *
 * @throws {SituError} As `readReply`, with the last raw reply; and whatever the call throws.
 */
export async function ask<T>(
  context: Pick<Context<unknown>, 'model' | 'signal'>,
  messages: readonly ChatMessage[],
  { name, schema, plain }: { name: string; schema: z.ZodType<T>; plain?: PlainForm<T> },
): Promise<T> {
  const replySchema = { name, schema: describe(schema).json }
  const first = await context.model.complete({ messages, replySchema })
  try {
    return readReply(first.text, first.finishReason, schema, plain)
  } catch (error) {
    if (!isMendable(error, first.finishReason)) throw error
    context.signal.throwIfAborted()
    const correction = correctionOf(first.text, error, schema)
    const request = { messages: correct(messages, correction), replySchema }
    const second = await context.model.complete(request, correction).catch((callError: unknown) => {
      // There was room for the first call: what failed is its reply, and that is what a user should see.
      throw callError instanceof SituError && callError.code === 'MODEL_CONTEXT_EXCEEDED' ? error : callError
    })
    return readReply(second.text, second.finishReason, schema, plain)
  }
}

/** The messages of the corrective turn. Pure, so that they can be made again from provenance. */
export function correct(messages: readonly ChatMessage[], correction: Correction): ChatMessage[] {
  return [
    ...messages,
    // Some endpoints refuse an empty message, and most want the turns to alternate.
    { role: 'assistant', content: correction.rejectedReply || '(empty)' },
    { role: 'user', content: correction.changed },
  ]
}

/** Not what was cut at its limit: that the runtime has tried already with a higher one. */
function isMendable(error: unknown, finishReason: FinishReason): error is SituError & Pick<Correction, 'code'> {
  if (!(error instanceof SituError)) return false
  return error.code === 'MODEL_REPLY_INVALID' || (error.code === 'MODEL_REPLY_CUT' && finishReason !== 'length')
}

function correctionOf<T>(
  reply: string,
  { code, message: problem }: SituError & Pick<Correction, 'code'>,
  schema: z.ZodType<T>,
): Correction {
  const names = [...describe(schema).fields.keys()].map(name => `"${name}"`).join(', ')
  const fields = names && `, with the fields ${names}`
  return {
    code,
    rejectedReply: cutBytes(reply, maxRejectedBytes),
    changed:
      `Your last answer was not taken: ${problem}. Answer again, in full, with exactly one JSON object${fields}, ` +
      'and with no text before or after it.',
  }
}

/** Problems of a reply that are told at once. */
const mostIssues = 8

type Outcome<T> = { value: T } | { cut: string } | { problem: string }

function read<T>(text: string, schema: z.ZodType<T>, plain?: PlainForm<T>): Outcome<T> {
  const answer = afterReasoning(text)
  if (answer === null) return { cut: 'its reasoning' }
  if (answer.trim() === '') return { problem: 'it is empty' }
  const told = plain?.(answer)
  if (told) return told
  const { fields } = describe(schema)
  const found = findValues(answer)
  const last = found.findLast(one => concerns(one, fields))
  const names = [...fields.keys()].join(', ')
  if (!last) {
    return { problem: found.length > 0 ? `its JSON has none of the fields ${names}` : 'it holds no JSON object' }
  }
  if (last.kind === 'cut') return { cut: 'its JSON' }
  if (last.kind === 'broken') return { problem: last.problem }
  const value = unwrap(last.value, fields)
  if (!isObject(value)) return { problem: 'it is a list of several objects instead of one object' }
  if (endsTooEarly(value, last.rest)) return { problem: 'a string holds quotes that are not escaped' }
  return check(value, last.repaired, schema)
}

function check<T>(value: Record<string, unknown>, repaired: boolean, schema: z.ZodType<T>): Outcome<T> {
  const { fields } = describe(schema)
  const checked = schema.safeParse(value)
  if (!checked.success) return { problem: checked.error.issues.slice(0, mostIssues).map(issueOf(value)).join('; ') }
  const unknown = repaired && fields.size > 0 ? Object.keys(value).find(name => !fields.has(name)) : undefined
  if (unknown !== undefined) return { problem: `${JSON.stringify(unknown.slice(0, 60))} is no field` }
  const placeholder = findPlaceholder(value, fields)
  return placeholder ? { problem: placeholder } : { value: checked.data }
}

function issueOf(value: Record<string, unknown>) {
  return ({ path, message }: { path: PropertyKey[]; message: string }): string => {
    if (path.length === 0) return message
    const holder = path.slice(0, -1).reduce<unknown>((inner, name) => isObject(inner) && inner[String(name)], value)
    const isMissing = isObject(holder) && !(String(path.at(-1)) in holder)
    return isMissing ? `"${path.join('.')}" is missing` : `"${path.join('.')}": ${message}`
  }
}

/** What follows the model's reasoning; null where the reasoning never ends. */
function afterReasoning(text: string): string | null {
  const end = /<\/think(?:ing)?>/i.exec(text)
  const begin = /^\s*<think(?:ing)?>/i.test(text)
  if (!end) return begin ? null : text
  // Without a beginning it may stand in a string of the answer itself; some servers do leave the beginning out.
  const inAnswer = !begin && /^\s*(?:```\w*\s*)?\{/.test(text)
  return inAnswer ? text : text.slice(end.index + end[0].length)
}

type Fields = ReadonlyMap<string, string>

function concerns(found: Found, fields: Fields): boolean {
  if (found.kind === 'cut' || fields.size === 0) return true
  if (found.kind === 'broken') return [...fields.keys()].some(name => found.text.includes(name))
  return unwrap(found.value, fields) !== undefined
}

/** The object with a field of the schema: itself, alone in a list or in another object; a list for several. */
function unwrap(value: unknown, fields: Fields, depth = 0): Record<string, unknown> | unknown[] | undefined {
  if (depth > 2) return undefined
  if (Array.isArray(value)) {
    if (value.length === 1) return unwrap(value[0], fields, depth + 1)
    return value.some(item => unwrap(item, fields, depth + 1) !== undefined) ? value : undefined
  }
  if (!isObject(value)) return undefined
  const names = Object.keys(value)
  if (fields.size === 0 || names.some(name => fields.has(name))) return value
  return names.length === 1 ? unwrap(Object.values(value)[0], fields, depth + 1) : undefined
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

interface Description {
  json: Record<string, unknown>
  /** Names of the fields with their descriptions. */
  fields: Fields
}

const descriptions = new WeakMap<z.ZodType, Description>()

function describe(schema: z.ZodType): Description {
  const known = descriptions.get(schema)
  if (known) return known
  const json = strict(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })) as Record<string, unknown>
  const properties = isObject(json.properties) ? json.properties : {}
  const fields = new Map(
    Object.entries(properties).map(([name, property]) => {
      const description = isObject(property) ? property.description : undefined
      return [name, typeof description === 'string' ? description : '']
    }),
  )
  const description = { json, fields }
  descriptions.set(schema, description)
  return description
}

/** Lengths are left out: grammars crawl on them, some endpoints refuse them, and zod checks them anyway. */
const unsent = new Set(['$schema', 'maxLength', 'minLength'])

function strict(node: unknown, isProperties = false): unknown {
  if (Array.isArray(node)) return node.map(item => strict(item))
  if (!isObject(node)) return node
  const entries = Object.entries(node)
    .filter(([name]) => isProperties || !unsent.has(name))
    .map(([name, inner]) => [name, strict(inner, !isProperties && name === 'properties')])
  const made: Record<string, unknown> = Object.fromEntries(entries)
  if (!isProperties && isObject(node.properties)) made.additionalProperties = false
  return made
}

/** At most so many bytes of UTF-8, ending with a whole character. */
export function cutBytes(text: string, maxBytes: number): string {
  const wellFormed = text.toWellFormed()
  if (Buffer.byteLength(wellFormed) <= maxBytes) return wellFormed
  const bytes = Buffer.from(wellFormed)
  let end = maxBytes
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}
