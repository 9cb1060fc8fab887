import type { Database } from './database.ts'

interface Job {
  work: () => unknown
  resolve: (result: never) => void
  reject: (error: unknown) => void
}

/** Writes that wait at the same moment go into one transaction: a commit costs more than what is in it. */
export class WriteGroup {
  readonly #database: Database
  #waiting: Job[] = []
  #isAsked = false

  constructor(database: Database) {
    this.#database = database
  }

  /**
   * Resolves when the work is committed. It may be called again, and an error of one work undoes those beside it, so
   * it throws nothing but errors of SQLite.
   */
  write<T>(work: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ work, resolve, reject })
      if (this.#isAsked) return
      this.#isAsked = true
      void this.#commit()
    })
  }

  async #commit(): Promise<void> {
    const jobs: Job[] = []
    const take = () => {
      this.#isAsked = false
      jobs.push(...this.#waiting.splice(0))
    }
    try {
      const results = await this.#database.write(() => {
        take()
        return jobs.map(({ work }) => work())
      })
      for (const [index, { resolve }] of jobs.entries()) resolve(results[index] as never)
    } catch (error) {
      // Where no transaction could begin, nothing was taken yet.
      if (jobs.length === 0) take()
      for (const { reject } of jobs) reject(error)
    }
  }
}
