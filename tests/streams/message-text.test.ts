import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import type { ChatMessage } from '../../operators/model.ts'
import { hashMessages, messageBytes } from '../../streams/message-text.ts'

const messages: ChatMessage[] = [
  { role: 'system', content: 'Be "brief".\n' },
  { role: 'user', content: 'Größe 😀' },
]

it('gives the JSON of the messages, and its hash', () => {
  const json = JSON.stringify(messages)
  expect(messageBytes(messages).toString()).toBe(json)
  expect(hashMessages(messages)).toBe(createHash('sha256').update(json).digest('hex'))
  expect(hashMessages([...messages])).toBe(hashMessages(messages))
})

it('makes it once', () => {
  expect(messageBytes(messages)).toBe(messageBytes(messages))
})

it('sends no half characters', () => {
  const half: ChatMessage[] = [{ role: 'user', content: 'a \ud83d b' }]
  const whole: ChatMessage[] = [{ role: 'user', content: 'a \ufffd b' }]
  expect(messageBytes(half).toString()).toBe(JSON.stringify(whole))
  expect(hashMessages(half)).toBe(hashMessages(whole))
})
