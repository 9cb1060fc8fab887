import { Random } from '../models/stand-in/random.ts'
import type { Call, Outcome } from './behaviour.ts'
import { type BrokenShape, breakJson, brokenShapes, wrongTypes } from './broken-json.ts'
import type { Fault, RetryAfter } from './script.ts'

/** Numbers that depend on the call and the seed alone, and differ by their purpose. */
export function randomOf({ fingerprint }: Call, occurrence: number, purpose: number, seed: number): Random {
  const mixed =
    Math.imul(occurrence + 1, 0x9e3779b1) ^ Math.imul(purpose + 1, 0x85ebca6b) ^ Math.imul(seed + 1, 0xc2b2ae35)
  const random = new Random(Number.parseInt(fingerprint.slice(0, 8), 16) ^ mixed)
  random.next()
  return random
}

/** The fault that this call meets: by its fingerprint and by how often it has come, so that a repeat has a new chance. */
export function pickFault(faults: readonly Fault[], call: Call, seed: number): Fault | null {
  let left = randomOf(call, call.occurrence, 1, seed).next()
  for (const fault of faults) {
    if (left < fault.share) return fault
    left -= fault.share
  }
  return null
}

/** What a fault does. Faults of a chat's message leave the other routes as they are. */
export async function play(fault: Fault, call: Call, wantedTokens: number, now: number): Promise<Outcome> {
  const name = fault.kind
  switch (fault.kind) {
    case 'status': {
      const { status, message = `a fault of the script: ${status}` } = fault
      return { kind: 'status', name, status, body: errorOf(status, message), ...retryAfterOf(fault.retryAfter, 0, now) }
    }
    case 'hang':
    case 'hang-in-body':
    case 'cut':
    case 'reset':
      return { kind: fault.kind, wantedTokens }
    case 'html-200':
      return {
        kind: 'raw',
        name,
        body: '<!doctype html><html><title>Login</title><h1>Welcome</h1>',
        contentType: 'text/html',
      }
    default:
      return call.route === 'chat' ? message(fault.kind, fault, call, wantedTokens) : { kind: 'ok' }
  }
}

type MessageKind = 'broken-json' | 'wrong-types' | 'refusal' | 'content-filter' | 'length' | 'empty'

async function message(kind: MessageKind, fault: Fault, call: Call, wantedTokens: number): Promise<Outcome> {
  const { text } = await call.reply(wantedTokens)
  const ok = { kind: 'ok', name: kind, wantedTokens } as const
  switch (kind) {
    case 'broken-json':
      return { ...ok, text: breakJson(text, shapeOf(fault, call)) }
    case 'wrong-types':
      return { ...ok, text: wrongTypes(text) }
    case 'refusal':
      return { ...ok, text: null, refusal: "I'm sorry, but I can't help with that." }
    case 'content-filter':
      return { ...ok, text: '', finishReason: 'content_filter' }
    case 'length':
      return { ...ok, text: text.slice(0, text.length / 2), finishReason: 'length' }
    case 'empty':
      return { ...ok, text: '' }
  }
}

function shapeOf(fault: Fault, call: Call): BrokenShape {
  if (fault.kind === 'broken-json' && fault.shape) return fault.shape
  const index = randomOf(call, call.occurrence, 2, 0).integer(brokenShapes.length)
  return brokenShapes[index] ?? 'prose'
}

function errorOf(status: number, text: string): unknown {
  const type = status === 429 ? 'requests' : status >= 500 ? 'server_error' : 'invalid_request_error'
  return { error: { message: text, type, param: null, code: status === 429 ? 'rate_limit_exceeded' : null } }
}

/** @param waitMs - What `exact` says, in whole seconds. */
export function retryAfterOf(said: RetryAfter | undefined, waitMs: number, now: number): { retryAfter?: string } {
  if (said === undefined) return {}
  if (said === 'exact') return { retryAfter: String(Math.max(1, Math.ceil(waitMs / 1000))) }
  // A date has whole seconds: rounded up, so that it is never too early.
  if (typeof said === 'object') return { retryAfter: new Date(Math.ceil(now / 1000 + said.date) * 1000).toUTCString() }
  return { retryAfter: String(said) }
}
