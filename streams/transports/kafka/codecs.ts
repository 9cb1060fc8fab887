import { messageOf } from '../../../schemas/errors.ts'

/** How the Java clients begin: a name, two version numbers; then blocks, each behind its length. */
const javaMagic = Buffer.from('\x82SNAPPY\0', 'latin1')
const javaHeaderBytes = javaMagic.length + 8

/**
 * Uncompresses Snappy, with the frame that Java clients put around it or without.
 *
 * @throws {RangeError} The bytes are not Snappy.
 */
export async function decodeSnappy(bytes: Buffer): Promise<Buffer> {
  // Loaded where it is needed: few producers use it, and there may be no binary for a rare platform.
  const { uncompressSync } = await import('snappy')
  const decode = (block: Buffer) => unreadable('Snappy', () => uncompressSync(block) as Buffer)
  if (!bytes.subarray(0, javaMagic.length).equals(javaMagic)) return decode(bytes)
  const blocks: Buffer[] = []
  for (let at = javaHeaderBytes; at < bytes.length; ) {
    const end = at + 4 + bytes.readUInt32BE(at)
    if (end > bytes.length) throw new RangeError(`a Snappy block up to byte ${end} of ${bytes.length}`)
    blocks.push(decode(bytes.subarray(at + 4, end)))
    at = end
  }
  return Buffer.concat(blocks)
}

/**
 * Uncompresses an LZ4 frame.
 *
 * @throws {RangeError} The bytes are no LZ4 frame.
 */
export async function decodeLz4(bytes: Buffer): Promise<Buffer> {
  const { decompressFrameSync } = await import('lz4-napi')
  return unreadable('LZ4', () => decompressFrameSync(bytes))
}

function unreadable(codec: string, decode: () => Buffer): Buffer {
  try {
    return decode()
  } catch (cause) {
    throw new RangeError(`no ${codec}: ${messageOf(cause)}`, { cause })
  }
}
