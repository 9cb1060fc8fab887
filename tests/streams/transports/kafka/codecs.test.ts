import { describe, expect, it } from 'vitest'
import { decodeLz4, decodeSnappy } from '../../../../streams/transports/kafka/codecs.ts'

const text = `${'The river rose. '.repeat(20)}${'a'.repeat(300)}river, river`

describe('decodeSnappy', () => {
  /** Made by Google's library. */
  const block = Buffer.from(
    '+AQ8VGhlIHJpdmVyIHJvc2UuIP4QAP4QAP4QAP4QAL4QAABh/gEA/gEA/gEA/gEAqgEALHJpdmVyLCByaXZlcg==',
    'base64',
  )

  /** As the Java clients write it: a header, then blocks with their lengths. */
  function javaFrame(...blocks: readonly Buffer[]): Buffer {
    const header = Buffer.from('\x82SNAPPY\0\0\0\0\x01\0\0\0\x01', 'latin1')
    const sized = blocks.flatMap(bytes => [Buffer.from([0, 0, bytes.length >>> 8, bytes.length & 255]), bytes])
    return Buffer.concat([header, ...sized])
  }

  it('gives back a block, and the blocks of a Java client', async () => {
    expect((await decodeSnappy(block)).toString()).toBe(text)
    expect((await decodeSnappy(javaFrame(block, block))).toString()).toBe(text + text)
  })

  it.each([
    ['is empty', Buffer.of()],
    ['ends early', block.subarray(0, -3)],
    ['ends in its first block', javaFrame(block).subarray(0, -3)],
    ['repeats what lies before its beginning', Buffer.from([10, 0, 65, 0b10101, 9])],
    ['tells a size that it can not have', Buffer.from([255, 255, 255, 255, 15, 0, 65])],
  ])('refuses what %s', async (_what, bytes) => {
    await expect(decodeSnappy(bytes)).rejects.toThrow(RangeError)
  })
})

describe('decodeLz4', () => {
  /** Made by the reference library. */
  const plain = Buffer.from('BCJNGGBAgicAAAD/AVRoZSByaXZlciByb3NlLiAQAP8eH2EBAP8ZAWgCcCwgcml2ZXIAAAAA', 'base64')
  const checked = Buffer.from(
    'BCJNGHxAeAIAAAAAAACoJwAAAP8BVGhlIHJpdmVyIHJvc2UuIBAA/x4fYQEA/xkBaAJwLCByaXZlchb1/L0AAAAA9dQNdg==',
    'base64',
  )

  it.each([
    ['a frame', plain, text],
    ['a frame with its size and checksums', checked, text],
    ['a block that is not compressed', Buffer.from('BCJNGGBAggkAAIBUaGUgcml2ZXIAAAAA', 'base64'), 'The river'],
  ])('gives back %s', async (_what, bytes, wanted) => {
    expect((await decodeLz4(bytes)).toString()).toBe(wanted)
  })

  it.each([
    ['ends early', plain.subarray(0, -6)],
    ['is no frame', Buffer.from('no frame at all')],
    ['repeats what lies before its beginning', Buffer.from([...plain.subarray(0, 7), 4, 0, 0, 0, 0x10, 65, 9, 0])],
  ])('refuses what %s', async (_what, bytes) => {
    await expect(decodeLz4(bytes)).rejects.toThrow(RangeError)
  })
})
