import { SituError } from '../../../schemas/errors.ts'
import { Database, type FileLayout } from '../../sqlite/database.ts'
import { type Term, termsOf, toIndexed } from './words.ts'

/** A document as it is indexed, with where it lies. */
export interface Entry {
  id: string
  partition: number
  offset: number
  title: string | null
  text: string
}

/** Where a document that fits lies. */
export interface Hit {
  id: string
  partition: number
  offset: number
  /** Share of the terms' weight, 0 to 1. */
  relevance: number
}

/** How far a partition is indexed. */
export interface Indexed {
  partition: number
  next: number
  /** The last document that was taken in, by which another log is known; null before the first. */
  lastOffset: number | null
  lastId: string | null
}

/**
 * The text itself is not kept: it lies in the log. `porter` folds English endings, and combining marks are letters, so
 * that the words of Indian scripts stay whole.
 */
const createTables = `
  CREATE VIRTUAL TABLE word USING fts5 (
    title, text, content = '', contentless_delete = 1,
    tokenize = "porter unicode61 remove_diacritics 2 categories 'L* N* M* Co'"
  );
  CREATE TABLE document (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    partition INTEGER NOT NULL,
    "offset" INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE indexed (
    partition INTEGER PRIMARY KEY,
    next INTEGER NOT NULL,
    lastOffset INTEGER,
    lastId TEXT
  ) STRICT;
`

/** A word of the title counts as much as three of the text. */
const titleWeight = 3
/** The saturation of BM25 in SQLite: what a word can score at most, in units of its rarity. */
const maxSaturation = 2.2
/** SQLite gives words in more than half of the documents this rarity. */
const leastRarity = 1e-6
const lockTimeoutMs = 30_000

/** The words of documents, in a file of the data folder that several processes may share. It can be deleted any time. */
export class IndexFile {
  readonly #database: Database

  private constructor(database: Database) {
    this.#database = database
  }

  /**
   * @param name - Of the file, without its ending.
   * @throws {SituError} DATA_UNREADABLE, DATA_CORRUPT, DATA_VERSION, DATA_IN_USE, DISK_FULL; each names the file.
   */
  static async open(folder: string, name: string): Promise<IndexFile> {
    const layout: FileLayout = {
      file: `${name}.index.db`,
      owner: 'full-text index',
      // "SITI" in ASCII.
      applicationId: 0x53495449,
      version: 1,
      pageBytes: 8192,
      createTables,
    }
    try {
      return new IndexFile(await Database.open(folder, layout, { create: true, readOnly: false, lockTimeoutMs }))
    } catch (error) {
      if (!(error instanceof SituError) || error.code !== 'DATA_CORRUPT') throw error
      throw new SituError(error.code, `${error.message}; it is only an index: delete it, and it is made again`, {
        cause: error,
      })
    }
  }

  get path(): string {
    return this.#database.path
  }

  async size(): Promise<number> {
    return this.#database.read(() => this.#size())
  }

  async indexed(partition: number): Promise<Indexed> {
    const row = await this.#database.read(() => this.#indexed(partition))
    return row
  }

  /**
   * Takes documents in, all or none.
   *
   * @param from - Up to where the caller knew the partition to be indexed: where another process has gone on from
   * there meanwhile, nothing is done.
   * @param next - Up to where it is indexed then.
   */
  async add(from: Pick<Indexed, 'partition' | 'next'>, entries: readonly Entry[], next: number): Promise<void> {
    await this.#database.write(() => {
      const before = this.#indexed(from.partition)
      if (before.next !== from.next) return
      for (const entry of entries) this.#insert(entry)
      const last = entries.at(-1)
      this.#database
        .statement('INSERT OR REPLACE INTO indexed (partition, next, lastOffset, lastId) VALUES (?, ?, ?, ?)')
        .run(from.partition, next, last?.offset ?? before.lastOffset, last?.id ?? before.lastId)
    })
  }

  /** Takes documents out that are no longer in the log. */
  async remove(ids: readonly string[]): Promise<void> {
    await this.#database.write(() => {
      for (const id of ids) {
        const row = this.#database.statement('DELETE FROM document WHERE id = ? RETURNING number').get(id)
        if (row) this.#database.statement('DELETE FROM word WHERE rowid = ?').run(Number(row.number))
      }
    })
  }

  /** Forgets everything, to begin anew. */
  async clear(): Promise<void> {
    await this.#database.write(() => {
      this.#database.statement('DELETE FROM indexed').run()
      this.#database.statement('DELETE FROM document').run()
      this.#database.statement(`INSERT INTO word (word) VALUES ('delete-all')`).run()
    })
  }

  /**
   * The documents that cover the most of the keywords, the best first.
   *
   * A document's relevance is its BM25 score as a share of the highest score that any document could have for these
   * keywords: so it can be compared between queries, and words that no document has lower it.
   */
  async find(keywords: readonly string[], limit: number): Promise<Hit[]> {
    const terms = termsOf(keywords)
    if (terms.length === 0) return []
    return this.#database.read(() => this.#rank(terms, limit), 'find')
  }

  close(): Promise<void> {
    return this.#database.close()
  }

  #rank(terms: readonly Term[], limit: number): Hit[] {
    const size = this.#size()
    const measured = terms.map(term => ({ match: `"${term.text}"`, ...this.#measure(term, size) }))
    const whole = measured.reduce((sum, { most }) => sum + most, 0)
    const known = measured.filter(({ factor }) => factor > 0)
    if (known.length === 0) return []
    const scores = known.map(
      () => `SELECT rowid AS number, ? * -bm25(word, ${titleWeight}.0, 1.0) AS score FROM word WHERE word MATCH ?`,
    )
    // Materialized: bm25 is known in a plain query of its table only.
    const sql = `
      WITH scored AS MATERIALIZED (${scores.join(' UNION ALL ')}),
        summed AS (SELECT number, sum(score) AS score FROM scored GROUP BY number)
      SELECT id, partition, "offset", score FROM summed JOIN document USING (number)
      ORDER BY score DESC, number LIMIT ?`
    const values = known.flatMap(({ factor, match }) => [factor, match])
    const rows = this.#database.statement<Omit<Hit, 'relevance'> & { score: number }>(sql).all(...values, limit)
    return rows.map(({ score, ...place }) => ({ ...place, relevance: Math.min(1, score / whole) }))
  }

  /**
   * What a term can score at most, and by what SQLite's score is multiplied: its rarity is never negative here, as it
   * is in the original formula, so that words in most documents still count and a few documents can be told apart.
   */
  #measure({ text, weight, isWhole }: Term, size: number): { most: number; factor: number } {
    const row = this.#database.statement('SELECT count(*) AS count FROM word WHERE word MATCH ?').get(`"${text}"`)
    const count = Number(row?.count)
    // That nobody puts it in these words says nothing about the documents.
    if (count === 0 && isWhole) return { most: 0, factor: 0 }
    const rarity = Math.log(1 + (size - count + 0.5) / (count + 0.5))
    const theirs = Math.max(leastRarity, Math.log((size - count + 0.5) / (count + 0.5)))
    const most = weight * rarity
    return { most, factor: count === 0 ? 0 : most / theirs / maxSaturation }
  }

  #size(): number {
    return Number(this.#database.statement('SELECT count(*) AS count FROM document').get()?.count)
  }

  #indexed(partition: number): Indexed {
    const row = this.#database.statement<Indexed>('SELECT * FROM indexed WHERE partition = ?').get(partition)
    return row ?? { partition, next: 0, lastOffset: null, lastId: null }
  }

  #insert({ id, partition, offset, title, text }: Entry): void {
    const added = this.#database
      .statement('INSERT INTO document (id, partition, "offset") VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING')
      .run(id, partition, offset)
    if (added.changes === 0) return
    this.#database
      .statement('INSERT INTO word (rowid, title, text) VALUES (?, ?, ?)')
      .run(added.lastInsertRowid, toIndexed(title ?? ''), toIndexed(text))
  }
}
