import { createHash } from 'node:crypto'
import type { ModelRequest } from '../operators/model.ts'

type Messages = ModelRequest['messages']

interface MessageText {
  /** JSON in UTF-8. */
  bytes: Buffer
  hash: string | null
}

/** The call, its provenance and the store of replies need the same text of tens of kilobytes. */
const texts = new WeakMap<Messages, MessageText>()

/** The messages as they stand in the request, made once. They must not be changed afterwards. */
export function messageBytes(messages: Messages): Buffer {
  return textOf(messages).bytes
}

/** SHA-256 (hex) of the messages as they stand in the request. */
export function hashMessages(messages: Messages): string {
  const text = textOf(messages)
  text.hash ??= createHash('sha256').update(text.bytes).digest('hex')
  return text.hash
}

function textOf(messages: Messages): MessageText {
  let text = texts.get(messages)
  if (!text) {
    text = { bytes: Buffer.from(JSON.stringify(wellFormed(messages))), hash: null }
    texts.set(messages, text)
  }
  return text
}

/** Half a character is no UTF-8: some endpoints refuse the whole request for it. */
function wellFormed(messages: Messages): Messages {
  if (messages.every(({ content }) => content.isWellFormed())) return messages
  return messages.map(({ role, content }) => ({ role, content: content.toWellFormed() }))
}
