import type { Signature } from '../../schemas/records.ts'

/** The kept record that another one repeats. */
export interface Twin {
  id: string
  /** Estimated Jaccard similarity of texts, or cosine of vectors, up to 1; 1 for an exact repeat. */
  similarity: number
}

/** What a dedupe operator sees: first seen wins. `Item` is what records are compared by: their text, or a vector. */
export interface NearDuplicateIndex<Item = string> {
  /**
   * Keeps the item under the id, unless it repeats a kept one.
   *
   * @returns The kept record that it repeats, or null where it is kept now.
   */
  insert(id: string, item: Item): Twin | null
}

/**
 * What the runtime sees: entries are pending from their insert until the commit that holds them.
 *
 * Pending entries count for later records of the same batch; `rollback` takes them back as if never inserted.
 */
export interface StatefulIndex<Item = string> extends NearDuplicateIndex<Item> {
  /** Kept records, the pending ones included. */
  readonly size: number
  /** How many entries are pending. */
  readonly pendingSize: number
  /** The pending entries in the order of their inserts, from this number on; default all. */
  pending(from?: number): readonly Signature[]
  /** The commit succeeded. */
  confirm(): void
  /** Takes pending entries back, from this number on: all of them where the commit failed (the default). */
  rollback(from?: number): void
  /**
   * Reads back an entry that an earlier commit wrote.
   *
   * @throws {SituError} CONFIGURATION_CHANGED where another engine wrote it, RECORD_INVALID where it is no entry.
   */
  restore(entry: Signature): void
}
