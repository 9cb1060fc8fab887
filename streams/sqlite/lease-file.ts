import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { messageOf, SituError } from '../../schemas/errors.ts'
import { isBusy, toSituError } from './sqlite-error.ts'

/** A lock that the system frees when the process dies, however it dies: SQLite's, on an empty file of its own. */
export class LeaseFile {
  readonly #sqlite: DatabaseSync

  private constructor(sqlite: DatabaseSync) {
    this.#sqlite = sqlite
  }

  /**
   * Null where another connection, of this process or of another one, holds it.
   *
   * @throws {SituError} DATA_UNREADABLE
   */
  static tryTake(path: string): LeaseFile | null {
    let sqlite: DatabaseSync | null = null
    try {
      sqlite = new DatabaseSync(path, { timeout: 0 })
      sqlite.exec('PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE')
      return new LeaseFile(sqlite)
    } catch (error) {
      sqlite?.close()
      if (isBusy(error)) return null
      throw toSituError(error, path)
    }
  }

  release(): void {
    this.#sqlite.close()
  }
}

/** The lease file of a task; its folder is made where it is missing. */
export function leasePath(folder: string, task: string): string {
  const locks = join(folder, 'locks')
  try {
    mkdirSync(locks, { recursive: true })
  } catch (cause) {
    throw new SituError('DATA_UNREADABLE', `${locks} can't be made: ${messageOf(cause)}`, { cause })
  }
  const name = encodeURIComponent(task)
  const short = name.length <= 200 ? name : createHash('sha256').update(task).digest('hex')
  return join(locks, `${short}.lock`)
}
