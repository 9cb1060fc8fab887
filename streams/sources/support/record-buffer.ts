import { createHash, type Hash } from 'node:crypto'
import { evidenceLimitBytes, type Whole } from '../../evidence.ts'
import type { SourceFault } from '../source.ts'

/**
 * Gathers the bytes of one record. Beyond the limit it keeps the beginning, the size and the hash alone, so a record
 * of any size takes a bounded amount of memory.
 */
export class RecordBuffer {
  readonly #limitBytes: number
  /** Grows by doubling: many small chunks cost no more than a few large ones. */
  #bytes: Buffer<ArrayBufferLike> = Buffer.alloc(0)
  #held = 0
  #size = 0
  #hash: Hash | null = null

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  /** Bytes appended, the ones not kept among them. */
  get size(): number {
    return this.#size
  }

  append(chunk: Buffer): void {
    this.#size += chunk.length
    if (this.#hash) {
      this.#hash.update(chunk)
    } else if (this.#size <= this.#limitBytes) {
      this.#hold(chunk)
    } else {
      this.#hash = createHash('sha256').update(this.#bytes.subarray(0, this.#held)).update(chunk)
      this.#hold(chunk.subarray(0, Math.max(0, evidenceLimitBytes - this.#held)))
      this.#held = Math.min(this.#held, evidenceLimitBytes)
      this.#bytes = Buffer.from(this.#bytes.subarray(0, this.#held))
    }
  }

  /** Ends the record with its last bytes, and begins the next one. */
  finish(last: Buffer): { bytes: Buffer; whole: Whole | null } {
    if (this.#size === 0 && last.length <= this.#limitBytes) return { bytes: last, whole: null }
    this.append(last)
    const bytes = this.#bytes.subarray(0, this.#held)
    const whole = this.#hash ? { size: this.#size, sha256: this.#hash.digest('hex') } : null
    this.#bytes = Buffer.alloc(0)
    this.#held = 0
    this.#size = 0
    this.#hash = null
    return { bytes, whole }
  }

  #hold(chunk: Buffer): void {
    const needed = this.#held + chunk.length
    if (needed > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(this.#bytes.length * 2, this.#limitBytes)))
      this.#bytes.copy(grown, 0, 0, this.#held)
      this.#bytes = grown
    }
    chunk.copy(this.#bytes, this.#held)
    this.#held = needed
  }
}

/** The fault of a record that the limit is too small for. */
export function tooLarge(place: string | null, bytes: Buffer, whole: Whole, limitBytes: number): SourceFault {
  const message = `${whole.size} bytes are more than the limit of ${limitBytes}`
  return { kind: 'fault', code: 'RECORD_TOO_LARGE', message, place, evidence: bytes, whole }
}
