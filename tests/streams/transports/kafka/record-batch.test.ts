import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { decodePage } from '../../../../streams/transports/kafka/page.ts'
import { encodeBatch } from '../../../../streams/transports/kafka/record-batch.ts'
import type { OutgoingMessage } from '../../../../streams/transports/transport.ts'

const require = createRequire(import.meta.url)
const Decoder = require('kafkajs/src/protocol/decoder.js') as new (bytes: Buffer) => object
const decodeBatch = require('kafkajs/src/protocol/recordBatch/v0/decoder.js') as (decoder: object) => Promise<{
  records: { key: Buffer | null }[]
  inTransaction: boolean
  producerEpoch: number
  firstSequence: number
}>

const identity = { producerId: '123456789012', producerEpoch: 7, firstSequence: 41 }
const place = { topic: 'small', partition: 3, offset: 0 }

/** What kafkajs reads, and what our reader makes of it. */
async function roundTrip(messages: readonly OutgoingMessage[], now: number) {
  const batches = await encodeBatch(messages, identity, now)
  const batch = await decodeBatch(new Decoder(batches))
  const fetched = { partition: 3, errorCode: 0, stable: 0, aborted: [], batches }
  return { batch, messages: (await decodePage(place, fetched)).messages }
}

function message(key: string, more: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return { topic: 'small', partition: 3, key, value: Buffer.from(`value of ${key}`), ...more }
}

describe('encodeBatch', () => {
  it('writes what kafkajs reads back: keys, values, tombstones, parents and times', async () => {
    const now = 1_790_000_000_000
    const sent = [
      message('plain'),
      message('Schlüssel 鍵 🔑', { parent: 'Eltern ü' }),
      message('tombstone', { value: null }),
      message('empty', { value: Buffer.of(), parent: '' }),
      message('', { timestamp: 0 }),
      message('later', { timestamp: now + 5 }),
      message('large', { value: Buffer.alloc(300_000, 'large ') }),
    ]
    const { batch, messages } = await roundTrip(sent, now)
    expect(batch).toMatchObject({ ...identity, inTransaction: true })
    expect(batch.records.map(({ key }) => String(key))).toEqual(sent.map(({ key }) => key))
    expect(messages).toEqual(
      sent.map(({ topic, partition, key, value, parent = null, timestamp = now }, offset) => {
        return { topic, partition, key, value, parent, timestamp, offset }
      }),
    )
  })

  it('numbers thousands of messages', async () => {
    const sent = Array.from({ length: 20_000 }, (_, index) => message(`key ${index}`))
    const { messages } = await roundTrip(sent, 1)
    expect(messages.map(({ offset }) => offset)).toEqual(sent.map((_, index) => index))
    expect(messages.map(({ key }) => key)).toEqual(sent.map(({ key }) => key))
  })
})
