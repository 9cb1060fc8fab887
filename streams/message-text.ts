import { hash } from 'node:crypto'
import type { ModelRequest } from '../operators/model.ts'

type Messages = ModelRequest['messages']

interface MessageText {
  /** Null once it has been sent: it is large, and hardly ever asked for again. */
  json: string | null
  hash: string
}

/** The call, its provenance and the store of replies need the same text of tens of kilobytes. */
const texts = new WeakMap<Messages, MessageText>()

/** SHA-256 (hex) of the messages as they stand in the request. They must not be changed afterwards. */
export function hashMessages(messages: Messages): string {
  const known = texts.get(messages)
  if (known) return known.hash
  const json = JSON.stringify(messages)
  const text = { json, hash: hash('sha256', json, 'hex') }
  texts.set(messages, text)
  return text.hash
}

/** The messages as they stand in the request. Made with the hash where that is asked for first, and then kept once. */
export function takeMessagesJson(messages: Messages): string {
  const text = texts.get(messages)
  const json = text?.json ?? JSON.stringify(messages)
  if (text) text.json = null
  return json
}
