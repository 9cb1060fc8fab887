import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import type { Evidence } from '../schemas/records.ts'

/** Largest text of a piece of evidence, in bytes of UTF-8. */
export const evidenceLimitBytes = 256 * 1024

/** What is left of it where the log takes no message of that size. */
const smallEvidenceCharacters = 16_384

/** What a piece of evidence is a part of, where it is only the beginning. */
export interface Whole {
  /** Bytes. */
  size: number
  /** SHA-256 (hex). */
  sha256: string
}

/**
 * Makes a failure's evidence: text where the bytes are UTF-8, base64 elsewhere, either cut at 256 KB with the size and
 * the hash of the whole.
 *
 * @param whole - Given where `content` is already cut.
 */
export function makeEvidence(content: string | Uint8Array, kind: Evidence['kind'], whole?: Whole): Evidence {
  const bytes = typeof content === 'string' ? Buffer.from(content) : asBuffer(content)
  const size = whole?.size ?? bytes.length
  const sha256 = whole?.sha256 ?? createHash('sha256').update(bytes).digest('hex')
  const head = wholeCharacters(bytes.subarray(0, evidenceLimitBytes), bytes.length > evidenceLimitBytes || !!whole)
  if (isUtf8(head)) {
    return { kind, text: head.toString('utf8'), base64: false, size, sha256, cut: head.length < size }
  }
  // Base64 makes four characters of three bytes.
  const raw = bytes.subarray(0, (evidenceLimitBytes / 4) * 3)
  return { kind, text: raw.toString('base64'), base64: true, size, sha256, cut: raw.length < size }
}

/** The beginning of a piece of evidence, for a log that takes no message of its size. */
export function cutEvidence(evidence: Evidence): Evidence {
  const text = evidence.text.slice(0, smallEvidenceCharacters)
  return { ...evidence, text, cut: evidence.cut || text.length < evidence.text.length }
}

/** Bytes up to the last whole character, where they were cut at a length. */
function wholeCharacters(bytes: Buffer, cut: boolean): Buffer {
  if (!cut) return bytes
  for (let back = 1; back <= Math.min(4, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0
    if (byte < 0x80) break
    if (byte >= 0xc0) return bytes.subarray(0, bytes.length - back)
  }
  return bytes
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
