import { describe, expect, it } from 'vitest'
import { decodeSnappy } from '../../../../streams/transports/kafka/snappy.ts'

const text = `${'The river rose. '.repeat(20)}${'a'.repeat(300)}river, river`
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

describe('decodeSnappy', () => {
  it('gives back a block, and the blocks of a Java client', () => {
    expect(decodeSnappy(block).toString()).toBe(text)
    expect(decodeSnappy(javaFrame(block, block)).toString()).toBe(text + text)
  })

  it('takes a literal whose length has bytes of its own', () => {
    const long = Buffer.alloc(70_000, 'b')
    const bytes = Buffer.concat([Buffer.from([0xf0, 0xa2, 4, 62 << 2, 0x6f, 0x11, 1]), long])
    expect(decodeSnappy(bytes).equals(long)).toBe(true)
  })

  it.each([
    ['ends early', block.subarray(0, -3)],
    ['ends in its first block', javaFrame(block).subarray(0, -3)],
    ['repeats what lies before its beginning', Buffer.from([10, 0, 65, 0b10101, 9])],
    ['writes more than it told', Buffer.from([2, 0, 65, 0b10101, 1])],
    ['tells a size that it can not have', Buffer.from([255, 255, 255, 255, 15, 0, 65])],
  ])('refuses what %s', (_what, bytes) => {
    expect(() => decodeSnappy(bytes)).toThrow(RangeError)
  })
})
