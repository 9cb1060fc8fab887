import { describe, expect, it } from 'vitest'
import { decodeLz4 } from '../../../../streams/transports/kafka/lz4.ts'

const text = `${'The river rose. '.repeat(20)}${'a'.repeat(300)}river, river`
/** Made by the reference library. */
const plain = Buffer.from('BCJNGGBAgicAAAD/AVRoZSByaXZlciByb3NlLiAQAP8eH2EBAP8ZAWgCcCwgcml2ZXIAAAAA', 'base64')
const checked = Buffer.from(
  'BCJNGHxAeAIAAAAAAACoJwAAAP8BVGhlIHJpdmVyIHJvc2UuIBAA/x4fYQEA/xkBaAJwLCByaXZlchb1/L0AAAAA9dQNdg==',
  'base64',
)
const uncompressed = Buffer.from('BCJNGGBAggkAAIBUaGUgcml2ZXIAAAAA', 'base64')

describe('decodeLz4', () => {
  it.each([
    ['a frame', plain, text],
    ['a frame with its size and checksums', checked, text],
    ['a block that is not compressed', uncompressed, 'The river'],
    ['several frames', Buffer.concat([plain, checked, uncompressed]), `${text}${text}The river`],
  ])('gives back %s', (_what, bytes, wanted) => {
    expect(decodeLz4(bytes).toString()).toBe(wanted)
  })

  it.each([
    ['ends early', plain.subarray(0, -6)],
    ['has no end mark', plain.subarray(0, -4)],
    ['is no frame', Buffer.from('no frame at all')],
    ['repeats what lies before its beginning', Buffer.from([...plain.subarray(0, 7), 4, 0, 0, 0, 0x10, 65, 9, 0])],
  ])('refuses what %s', (_what, bytes) => {
    expect(() => decodeLz4(bytes)).toThrow(RangeError)
  })

  it('refuses a block of more bytes than the frame allows', () => {
    const lengths = Buffer.alloc(300, 255)
    const block = Buffer.concat([Buffer.from([0x1f, 65, 1, 0]), lengths, Buffer.from([0])])
    const size = Buffer.from([block.length & 255, block.length >>> 8, 0, 0])
    expect(() => decodeLz4(Buffer.concat([plain.subarray(0, 7), size, block]))).toThrow(/more than the 65536 bytes/)
  })
})
