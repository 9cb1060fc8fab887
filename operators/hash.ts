import { createHash, hash as hashOnce } from 'node:crypto'

/**
 * The form of every id and hash in Situ: 128 bits of SHA-256 as 32 hex digits.
 *
 * Each part goes in with its length in bytes, so that parts can't be shifted into each other.
 */
export function hash(...parts: readonly (string | Uint8Array)[]): string {
  if (parts.every(part => typeof part === 'string')) {
    const text = parts.map(part => `${Buffer.byteLength(part)}:${part}`).join('')
    return hashOnce('sha256', text, 'hex').slice(0, 32)
  }
  const sum = createHash('sha256')
  for (const part of parts) sum.update(`${Buffer.byteLength(part)}:`).update(part)
  return sum.digest('hex').slice(0, 32)
}

/** JSON with sorted keys, so that equal values have equal texts. Leaves out undefined. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([left], [right]) => (left < right ? -1 : 1)))
      : inner,
  )
}
