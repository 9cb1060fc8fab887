import type { Database } from '../../sqlite/database.ts'
import { messageId } from './layout.ts'
import { SharedTexts } from './shared-texts.ts'

/** Deletes in steps, so that the other processes can write in between. */
const stepMessages = 500

/** What the partitions of removed topics still hold: nobody finds it any more, and its space is used again. */
export class RemovedMessages {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  /** Also what an earlier removal left because its process died. */
  async delete(): Promise<void> {
    while (await this.#database.write(() => this.#step())) {}
  }

  /** @returns False once nothing is left. */
  #step(): boolean {
    const partition = this.#database.statement('SELECT id FROM partition WHERE topic = 0 AND written > 0 LIMIT 1').get()
    if (!partition) return false
    const id = Number(partition.id)
    const rows = this.#database
      .statement('SELECT id, text FROM message WHERE id >= ? AND id < ? ORDER BY id LIMIT ?')
      .all(messageId(id, 0), messageId(id + 1, 0), stepMessages)
    const last = rows.at(-1)
    if (!last) {
      this.#database.statement('UPDATE partition SET written = 0 WHERE id = ?').run(id)
      return true
    }
    this.#database.statement('DELETE FROM message WHERE id BETWEEN ? AND ?').run(messageId(id, 0), Number(last.id))
    const texts = rows.flatMap(({ text }) => (text === null ? [] : [Number(text)]))
    new SharedTexts(this.#database).removeUnused(new Set(texts))
    return true
  }
}
