import type { Signature } from '../../schemas/records.ts'
import { checkEntry, KeptRecords } from './kept-records.ts'
import type { StatefulIndex, Twin } from './near-duplicate-index.ts'
import { exactHash, normalise } from './normalise.ts'

const engine = 'exact/1'

/** Exact repeats only: two texts are the same where they are after normalisation. About 120 bytes a record. */
export class ExactIndex implements StatefulIndex {
  readonly #kept = new KeptRecords()

  get size(): number {
    return this.#kept.size
  }

  insert(id: string, text: string): Twin | null {
    const exact = exactHash(normalise(text))
    const repeated = this.#kept.repeatOf(exact)
    if (repeated) return repeated
    this.#kept.add(id, exact)
    return null
  }

  get pendingSize(): number {
    return this.#kept.pendingSize
  }

  pending(from?: number): readonly Signature[] {
    return this.#kept.entries(engine, from)
  }

  confirm(): void {
    this.#kept.confirm()
  }

  rollback(from?: number): void {
    this.#kept.rollback(from)
  }

  restore(entry: Signature): void {
    checkEntry(entry, engine, 0)
    if (this.#kept.find(entry.exact) !== undefined) return
    this.#kept.add(entry.id, entry.exact)
    this.#kept.confirmRestored()
  }
}
