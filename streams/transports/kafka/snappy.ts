import { BackReferences } from './back-references.ts'

/** How the Java clients begin: a name, two version numbers; then blocks, each behind its length. */
const javaMagic = Buffer.from('\x82SNAPPY\0', 'latin1')
const javaHeaderBytes = javaMagic.length + 8
const [literal, nearCopy] = [0, 1]
/** The largest length of a literal that its tag holds by itself. */
const shortLiteralBytes = 60
/** A copy takes at least 3 bytes for each 64 that it makes. */
const mostGrowth = 22

/**
 * Uncompresses Snappy, with the frame that Java clients put around it or without.
 *
 * @throws {RangeError} The bytes are not Snappy.
 * @see https://github.com/google/snappy/blob/main/format_description.txt
 */
export function decodeSnappy(bytes: Buffer): Buffer {
  if (!bytes.subarray(0, javaMagic.length).equals(javaMagic)) return decodeBlock(bytes)
  const blocks: Buffer[] = []
  for (let at = javaHeaderBytes; at < bytes.length; ) {
    const end = at + 4 + bytes.readUInt32BE(at)
    if (end > bytes.length) throw new RangeError(`a Snappy block up to byte ${end} of ${bytes.length}`)
    blocks.push(decodeBlock(bytes.subarray(at + 4, end)))
    at = end
  }
  return Buffer.concat(blocks)
}

function decodeBlock(bytes: Buffer): Buffer {
  let at = 0
  const next = (count: number) => {
    at += count
    return count === 0 ? 0 : bytes.readUIntLE(at - count, count)
  }
  let size = 0
  for (let scale = 1, byte = 128; byte >= 128; scale *= 128) {
    byte = next(1)
    size += (byte % 128) * scale
  }
  if (size > mostGrowth * bytes.length) throw new RangeError(`${size} bytes out of ${bytes.length} of Snappy`)
  const output = new BackReferences(size)
  while (at < bytes.length) {
    const tag = next(1)
    const kind = tag & 3
    const rest = tag >>> 2
    if (kind === literal) {
      const length = 1 + (rest < shortLiteralBytes ? rest : next(rest - shortLiteralBytes + 1))
      output.literal(bytes, at, length)
      at += length
    } else if (kind === nearCopy) output.repeat(((rest >>> 3) << 8) + next(1), 4 + (rest & 7))
    else output.repeat(next(kind === 2 ? 2 : 4), 1 + rest)
  }
  if (output.written.length < size) throw new RangeError(`Snappy ends at byte ${output.written.length} of ${size}`)
  return output.written
}
