import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'

/** How bytes lie in the file. */
export const forms = { none: 0, raw: 1, zstd: 2 } as const

export interface Packed {
  form: number
  bytes: Uint8Array | null
}

/** Below it zstd hardly ever wins. */
const minBytes = 96

const compressOptions = {
  params: {
    [constants.ZSTD_c_compressionLevel]: 3,
    // 4 bytes, and a flipped bit on the disk is an error instead of another text.
    [constants.ZSTD_c_checksumFlag]: 1,
  },
}

/** Compresses where that is smaller. Null is kept apart from empty. */
export function pack(bytes: Uint8Array | null): Packed {
  if (bytes === null) return { form: forms.none, bytes: null }
  if (bytes.length >= minBytes) {
    const compressed = zstdCompressSync(bytes, { ...compressOptions, chunkSize: chunkBytes(bytes.length) })
    if (compressed.length < bytes.length) return { form: forms.zstd, bytes: compressed }
  }
  return { form: forms.raw, bytes }
}

/**
 * @param maxBytes - What it can be at most: a damaged file must not fill the memory.
 * @throws {Error} The bytes are damaged.
 */
export function unpack({ form, bytes }: Packed, maxBytes: number): Uint8Array | null {
  if (form === forms.none) return null
  if (form === forms.raw) return bytes ?? new Uint8Array(0)
  if (form !== forms.zstd || bytes === null) throw new Error(`unknown form ${form}`)
  return zstdDecompressSync(bytes, { maxOutputLength: Math.max(1, maxBytes), chunkSize: chunkBytes(maxBytes) })
}

/** Room for what comes out: the usual 16 KB for each small message cost more than the message itself. */
function chunkBytes(size: number): number {
  return Math.min(Math.max(size, 64), 65_536)
}
