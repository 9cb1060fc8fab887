import { createRequire } from 'node:module'
import kafkajs from 'kafkajs'
import { describe, expect, it } from 'vitest'
import type { FetchedPartition } from '../../../../streams/transports/kafka/fetch-request.ts'
import { decodePage } from '../../../../streams/transports/kafka/page.ts'
import { headerAt } from '../../../../streams/transports/kafka/record-batch.ts'

const require = createRequire(import.meta.url)
/** kafkajs's own encoder: what foreign producers write. */
const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0/index.js') as {
  RecordBatch: (batch: object) => Promise<{ buffer: Buffer }>
}
const encodeRecord = require('kafkajs/src/protocol/recordBatch/record/v0/index.js') as (record: object) => object

const { CompressionTypes } = kafkajs
const place = { topic: 'page', partition: 1, offset: 0 }
const time = 1_790_000_000_000

interface Foreign {
  offsetDelta?: number
  timestampDelta?: number
  key: string | null
  value: string | null
  headers?: Record<string, string | string[]>
}

async function batchOf(records: readonly Foreign[], more: object = {}): Promise<Buffer> {
  const encoded = records.map((record, offsetDelta) => encodeRecord({ offsetDelta, timestampDelta: 0, ...record }))
  const lastOffsetDelta = Math.max(0, records.length - 1)
  const settings = { firstTimestamp: time, maxTimestamp: time + 9, lastOffsetDelta, records: encoded, ...more }
  return (await RecordBatch(settings)).buffer
}

function pageOf(batches: readonly Buffer[], aborted: FetchedPartition['aborted'] = [], from = 0) {
  const fetched = { partition: 1, errorCode: 0, stable: 100, aborted, batches: Buffer.concat(batches) }
  return decodePage({ ...place, offset: from }, fetched)
}

function withFlags(batch: Buffer, flags: number): Buffer {
  batch.writeInt16BE(batch.readInt16BE(headerAt.attributes) | flags, headerAt.attributes)
  return batch
}

/** The end of a transaction. */
async function markerOf(type: 'abort' | 'commit', firstOffset: number, producerId: number): Promise<Buffer> {
  const key = type === 'abort' ? '\0\0\0\0' : '\0\0\0\x01'
  return withFlags(
    await batchOf([{ key, value: '\0\0\0\0\0\0' }], { firstOffset, producerId, transactional: true }),
    32,
  )
}

const plain = (key: string): Foreign => ({ key, value: `value of ${key}` })
const keysOf = ({ messages }: Awaited<ReturnType<typeof pageOf>>) => messages.map(({ key }) => key)

describe('decodePage', () => {
  it.each([
    ['not compressed', CompressionTypes.None],
    ['in gzip', CompressionTypes.GZIP],
    ['in zstd', CompressionTypes.ZSTD],
  ])('reads records of another producer, %s', async (_, compression) => {
    const headers = { 'situ-parent': ['first ü', 'second'], other: 'x', 'situ-parenT': 'no' }
    const records = [
      { key: 'Schlüssel 鍵 🔑', value: 'a'.repeat(300), headers },
      { key: null, value: null, timestampDelta: -3_000_000_000 },
      { key: '', value: '', offsetDelta: 70_000, timestampDelta: 5_000_000_000, headers: { other: 'x' } },
    ]
    const settings = { firstOffset: 5_000_000_000, compression, lastOffsetDelta: 70_000 }
    const page = await pageOf([await batchOf(records, settings)])
    const at = { topic: 'page', partition: 1, parent: null }
    expect(page).toEqual({
      messages: [
        {
          ...at,
          offset: 5_000_000_000,
          timestamp: time,
          key: records[0]?.key,
          value: Buffer.alloc(300, 'a'),
          parent: 'first ü',
        },
        { ...at, offset: 5_000_000_001, timestamp: time - 3_000_000_000, key: null, value: null },
        { ...at, offset: 5_000_070_000, timestamp: time + 5_000_000_000, key: '', value: Buffer.of() },
      ],
      next: 5_000_070_001,
      stable: 100,
    })
  })

  it('takes the time of the batch where brokers set it', async () => {
    const batch = withFlags(await batchOf([plain('one'), plain('two')]), 8)
    const { messages } = await pageOf([batch])
    expect(messages.map(({ timestamp }) => timestamp)).toEqual([time + 9, time + 9])
  })

  it('begins within a batch, and leaves out one that is cut off', async () => {
    const batches = [
      await batchOf([plain('0'), plain('1'), plain('2')]),
      await batchOf([plain('3')], { firstOffset: 3 }),
      (await batchOf([plain('4')], { firstOffset: 4 })).subarray(0, -1),
    ]
    const page = await pageOf(batches, [], 1)
    expect([keysOf(page), page.next]).toEqual([['1', '2', '3'], 4])
  })

  it('passes what compaction has emptied', async () => {
    const batches = [await batchOf([], { lastOffsetDelta: 6 }), await batchOf([plain('7')], { firstOffset: 7 })]
    expect(await pageOf(batches.slice(0, 1))).toMatchObject({ messages: [], next: 7 })
    expect(keysOf(await pageOf(batches))).toEqual(['7'])
  })

  it('leaves out aborted transactions, and no other of the same or of another producer', async () => {
    const open = { transactional: true, producerId: 1 }
    const batches = [
      await batchOf([plain('committed before')], { ...open, firstOffset: 0 }),
      await markerOf('commit', 1, 1),
      await batchOf([plain('aborted')], { ...open, firstOffset: 2 }),
      await batchOf([plain('of another')], { ...open, firstOffset: 3, producerId: 2 }),
      await batchOf([plain('in none')], { firstOffset: 4, producerId: 1 }),
      await batchOf([plain('aborted too')], { ...open, firstOffset: 5 }),
      await markerOf('abort', 6, 1),
      await markerOf('commit', 7, 2),
      await batchOf([plain('committed after')], { ...open, firstOffset: 8 }),
      await markerOf('commit', 9, 1),
    ]
    const page = await pageOf(batches, [{ producerId: 1, firstOffset: 2 }])
    expect(keysOf(page)).toEqual(['committed before', 'of another', 'in none', 'committed after'])
    expect(page.next).toBe(10)
  })

  it('refuses bytes that are no records', async () => {
    const whole = await batchOf([plain('one'), plain('two')])
    const damaged = (change: (bytes: Buffer) => void) => {
      const bytes = Buffer.from(whole)
      change(bytes)
      return pageOf([bytes])
    }
    await expect(damaged(bytes => bytes.writeInt8(1, headerAt.magic))).rejects.toThrow(/format 1, not 2/)
    await expect(damaged(bytes => bytes.writeInt32BE(3, headerAt.count))).rejects.toThrow(RangeError)
    await expect(damaged(bytes => bytes.writeInt32BE(-50, headerAt.length))).rejects.toThrow(RangeError)
    await expect(damaged(bytes => bytes.fill(0xff, 61))).rejects.toThrow(RangeError)
    await expect(damaged(bytes => bytes.writeUInt8(bytes.readUInt8(61) + 2, 61))).rejects.toThrow(
      /record 0 of the batch at 0 is damaged/,
    )
  })
})
