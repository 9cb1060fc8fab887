import { BackReferences } from './back-references.ts'

const magic = 0x184d2204
const version = 1
/** What the flags of a frame tell: a checksum behind each block, the size, a checksum at the end, a dictionary. */
const flags = { blockChecksum: 16, size: 8, checksum: 4, dictionary: 1 }
const uncompressed = 0x80000000
/** A length of this goes on in the bytes that follow. */
const longLength = 15
const leastMatch = 4

/**
 * Uncompresses LZ4 frames. Checksums are passed over: a record batch has one of its own.
 *
 * @throws {RangeError} The bytes are no LZ4 frames.
 * @see https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */
export function decodeLz4(bytes: Buffer): Buffer {
  const frames: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const frame = decodeFrame(bytes, at)
    frames.push(frame.content)
    at = frame.end
  }
  return Buffer.concat(frames)
}

function decodeFrame(bytes: Buffer, start: number): { content: Buffer; end: number } {
  const found = bytes.readUInt32LE(start)
  const flag = bytes.readUInt8(start + 4)
  if (found !== magic || flag >>> 6 !== version || flag & flags.dictionary) {
    throw new RangeError(`no LZ4 frame of version ${version} without a dictionary: ${found.toString(16)}, ${flag}`)
  }
  // 64 KiB, 256 KiB, 1 MiB or 4 MiB, as 4 to 7.
  const blockBytes = 2 ** (8 + 2 * ((bytes.readUInt8(start + 5) >>> 4) & 7))
  const output = new BackReferences(blockBytes)
  let at = start + 7 + (flag & flags.size ? 8 : 0)
  for (;;) {
    const size = bytes.readUInt32LE(at)
    at += 4
    if (size === 0) break
    const end = at + (size % uncompressed)
    if (end > bytes.length) throw new RangeError(`an LZ4 block up to byte ${end} of ${bytes.length}`)
    output.allow(blockBytes)
    if (size >= uncompressed) output.literal(bytes, at, end - at)
    else decodeBlock(bytes.subarray(at, end), output)
    at = end + (flag & flags.blockChecksum ? 4 : 0)
  }
  return { content: output.written, end: at + (flag & flags.checksum ? 4 : 0) }
}

function decodeBlock(bytes: Buffer, output: BackReferences): void {
  let at = 0
  const lengthOf = (short: number) => {
    let length = short
    for (let byte = short === longLength ? 255 : 0; byte === 255; length += byte) byte = bytes.readUInt8(at++)
    return length
  }
  while (at < bytes.length) {
    const token = bytes.readUInt8(at++)
    const length = lengthOf(token >>> 4)
    output.literal(bytes, at, length)
    at += length
    // The last sequence has no match.
    if (at === bytes.length) return
    const distance = bytes.readUInt16LE(at)
    at += 2
    output.repeat(distance, leastMatch + lengthOf(token & 15))
  }
}
