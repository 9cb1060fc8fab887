import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { PackedInputCut, unpackGzip } from '../../../streams/inputs/unpack.ts'
import { chunksOf } from '../sources/collect.ts'

/** Text that does not shrink to nothing, the same in every run. */
function sample(bytes: number): Buffer {
  let state = 1
  return Buffer.from(
    Uint8Array.from({ length: bytes }, () => {
      state = (state * 48271) % 2147483647
      return 97 + (state % 20)
    }),
  )
}

async function unpack(packed: Uint8Array, size?: number): Promise<{ content: Buffer; error: PackedInputCut | null }> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of unpackGzip(chunksOf(packed, size))) chunks.push(chunk)
  } catch (error) {
    if (!(error instanceof PackedInputCut)) throw error
    return { content: Buffer.concat(chunks), error }
  }
  return { content: Buffer.concat(chunks), error: null }
}

const content = sample(200_000)
const packed = gzipSync(content)

/** A header with every optional part. */
function withLongHeader(member: Buffer): Buffer {
  const fixed = Buffer.from(member.subarray(0, 10))
  fixed[3] = 4 | 8 | 16 | 2
  const extra = Buffer.alloc(2002, 1)
  extra.writeUInt16LE(2000, 0)
  return Buffer.concat([fixed, extra, Buffer.from('name\0a comment\0'), Buffer.alloc(2), member.subarray(10)])
}

describe('unpackGzip', () => {
  it.each([1, 7, 1000, 20_000, undefined])('unpacks chunks of %s bytes', async size => {
    const small = size === 1 || size === 7 ? sample(3000) : content
    const { content: unpacked, error } = await unpack(gzipSync(small), size)
    expect(error).toBeNull()
    expect(unpacked.equals(small)).toBe(true)
  })

  it('unpacks several members, an empty one and padding among them', async () => {
    const whole = Buffer.concat([packed, gzipSync(''), withLongHeader(packed), Buffer.alloc(40_000)])
    const { content: unpacked, error } = await unpack(whole, 5000)
    expect(error).toBeNull()
    expect(unpacked.equals(Buffer.concat([content, content]))).toBe(true)
  })

  it('gives all that a cut file holds, and where it ends', async () => {
    for (const end of [1, 9, 10, 11, 50_000, packed.length - 9, packed.length - 8, packed.length - 1]) {
      const { content: unpacked, error } = await unpack(packed.subarray(0, end), 4096)
      expect(error?.message).toMatch(/the file ends within/)
      expect(error?.offset).toBeLessThanOrEqual(end)
      expect(error?.offset).toBeGreaterThanOrEqual(Math.max(0, end - 9))
      expect(content.subarray(0, unpacked.length).equals(unpacked)).toBe(true)
      expect(unpacked.length).toBeGreaterThanOrEqual(Math.floor((end - 4096) * 1.5))
    }
    expect((await unpack(packed.subarray(0, packed.length - 8))).content.equals(content)).toBe(true)
  })

  it('cuts an empty file at byte 0', async () => {
    expect((await unpack(Buffer.alloc(0))).error?.offset).toBe(0)
  })

  it('gives all of a member whose checksum does not fit, and says so', async () => {
    const broken = Buffer.from(packed)
    broken.writeUInt32LE(1, packed.length - 8)
    const { content: unpacked, error } = await unpack(broken)
    expect(unpacked.equals(content)).toBe(true)
    expect(error?.message).toBe('gzip: the checksum of member 1 does not fit: its data are corrupt')
    expect(error?.offset).toBe(packed.length - 8)
  })

  it('gives the sound members before something that is none', async () => {
    for (const tail of [Buffer.from('something else'), Buffer.concat([Buffer.alloc(600), Buffer.from('x')])]) {
      const { content: unpacked, error } = await unpack(Buffer.concat([packed, tail]))
      expect(unpacked.equals(content)).toBe(true)
      expect(error?.offset).toBe(packed.length)
    }
  })

  it('gives what comes before a corrupt place, but for the last step', async () => {
    const broken = Buffer.from(packed)
    broken.fill(0xff, 100_000, 100_100)
    const { content: unpacked, error } = await unpack(broken)
    expect(error).not.toBeNull()
    const same = unpacked.findIndex((byte, index) => byte !== content[index])
    expect(same < 0 ? unpacked.length : same).toBeGreaterThan(140_000)
  })

  it('asks for no more input than it needs next', async () => {
    let asked = 0
    async function* counted() {
      for await (const chunk of chunksOf(packed, 16 * 1024)) {
        asked++
        yield chunk
      }
    }
    for await (const chunk of unpackGzip(counted())) {
      expect(chunk.length).toBeGreaterThan(0)
      break
    }
    expect(asked).toBe(1)
  })
})
