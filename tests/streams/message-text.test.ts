import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import type { ChatMessage } from '../../operators/model.ts'
import { hashMessages, takeMessagesJson } from '../../streams/message-text.ts'

const messages: ChatMessage[] = [
  { role: 'system', content: 'Be "brief".\n' },
  { role: 'user', content: 'Größe 😀 \ud83d' },
]
const json = JSON.stringify(messages)
const hash = createHash('sha256').update(json).digest('hex')

it('gives the JSON of the messages as often as it is asked for, before and after its hash', () => {
  const own = [...messages]
  expect(takeMessagesJson(own)).toBe(json)
  expect(hashMessages(own)).toBe(hash)
  expect(takeMessagesJson(own)).toBe(json)
  expect(takeMessagesJson(own)).toBe(json)
  expect(hashMessages(own)).toBe(hash)
})
