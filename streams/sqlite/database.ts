import { statSync } from 'node:fs'
import { join } from 'node:path'
import {
  DatabaseSync,
  type SQLInputValue,
  type SQLOutputValue,
  type StatementResultingChanges,
  type StatementSync,
} from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, SituError } from '../../schemas/errors.ts'
import { makeFolder } from '../make-folder.ts'
import { ChangeSignal } from '../transports/change-signal.ts'
import { closedError } from '../transports/outgoing.ts'
import { isBusy, toSituError } from './sqlite-error.ts'

/** What kind of file it is. */
export interface FileLayout {
  /** Its name in the data folder. */
  file: string
  /** Who is told of in errors after its end. */
  owner: string
  /** Stands in the header of the file, by which tools and we know it. */
  applicationId: number
  /** A change that an older Situ can't work with raises it. */
  version: number
  pageBytes: number
  /** Statements that make the tables. */
  createTables: string
  /** Gives free pages back, by `PRAGMA incremental_vacuum`. */
  shrinks?: boolean
}

export interface DatabaseOptions {
  /** Make folder and file where they are not there. */
  create: boolean
  readOnly: boolean
  /** How long a write waits for the writes of other processes. */
  lockTimeoutMs: number
}

/** A statement whose rows have a type. */
export interface Statement<Row> {
  get(...values: SQLInputValue[]): Row | undefined
  all(...values: SQLInputValue[]): Row[]
  iterate(...values: SQLInputValue[]): IterableIterator<Row>
  run(...values: SQLInputValue[]): StatementResultingChanges
}

/** SQLite itself waits this long, with the whole process; what takes longer is tried again later. */
const busyTimeoutMs = 20
const pollEveryMs = 50

/**
 * One connection to one file of a data folder, for all of this process that works on it.
 *
 * Nothing awaits while a statement or a transaction is open, so reader and writer share the connection, and no old
 * snapshot keeps the write-ahead log from being taken in.
 */
export class Database {
  readonly folder: string
  readonly path: string
  /** Raised at each commit of this process, and within 100 ms of another one's while somebody waits. */
  readonly changes: ChangeSignal
  readonly #layout: FileLayout
  readonly #sqlite: DatabaseSync
  readonly #lockTimeoutMs: number
  readonly #statements = new Map<string, StatementSync>()
  #queue: Promise<unknown> = Promise.resolve()
  #dataVersion = 0
  #closed = false
  #closing: Promise<void> | null = null

  private constructor(folder: string, layout: FileLayout, sqlite: DatabaseSync, lockTimeoutMs: number) {
    this.folder = folder
    this.path = join(folder, layout.file)
    this.#layout = layout
    this.#sqlite = sqlite
    this.#lockTimeoutMs = lockTimeoutMs
    this.changes = new ChangeSignal({ everyMs: pollEveryMs, changed: () => this.#changedElsewhere() })
  }

  /** @throws {SituError} DATA_UNREADABLE, DATA_CORRUPT, DATA_VERSION, DATA_IN_USE, DISK_FULL. */
  static async open(folder: string, layout: FileLayout, options: DatabaseOptions): Promise<Database> {
    const path = join(folder, layout.file)
    if (options.create && !options.readOnly) makeDataFolder(folder)
    else checkThere(folder, path)
    let sqlite: DatabaseSync
    try {
      sqlite = new DatabaseSync(path, { readOnly: options.readOnly, timeout: busyTimeoutMs })
    } catch (error) {
      throw toSituError(error, path)
    }
    const database = new Database(folder, layout, sqlite, options.lockTimeoutMs)
    try {
      await database.#prepareFile(options)
    } catch (error) {
      sqlite.close()
      throw error
    }
    return database
  }

  /** A prepared statement, made once. `Row` is what the SQL selects; SQLite can't tell before it runs. */
  statement<Row = Record<string, SQLOutputValue>>(sql: string): Statement<Row> {
    let statement = this.#statements.get(sql)
    if (!statement) {
      statement = this.#sqlite.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement as unknown as Statement<Row>
  }

  /**
   * Reads within one call; several statements of it see one moment.
   *
   * @param place - What is read, for the error.
   */
  read<T>(work: () => T, place?: string): Promise<T> {
    return this.#attempt(() => this.#transaction('BEGIN', work), place)
  }

  /** As `read`, with one statement, which sees one moment by itself. */
  readOne<T>(work: () => T, place?: string): Promise<T> {
    return this.#attempt(work, place)
  }

  /** Runs the work as one transaction, all or nothing, after those asked for before. It may be called again. */
  write<T>(work: () => T): Promise<T> {
    const result = this.#queue.then(() => this.#attempt(() => this.#transaction('BEGIN IMMEDIATE', work)))
    const done = result.then(() => {
      this.changes.raise()
      // Lets timers, sockets and readers have their turn between the commits of a busy writer.
      return new Promise(resolve => setImmediate(resolve))
    })
    this.#queue = done.catch(() => undefined)
    return result
  }

  /** Gives the pages that deletions freed back to the disk, where the layout allows it. */
  async shrink(): Promise<void> {
    // By exec, which runs it to its end: the first step alone frees one page.
    const done = this.#queue.then(() => this.#attempt(() => this.#sqlite.exec('PRAGMA incremental_vacuum')))
    this.#queue = done.catch(() => undefined)
    await done
  }

  /** Lets the writes that were asked for end. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.#queue
    this.#closed = true
    this.changes.raise()
    this.#statements.clear()
    // The last connection to the file takes the write-ahead log in and removes it.
    this.#sqlite.close()
  }

  async #attempt<T>(work: () => T, place = ''): Promise<T> {
    const deadline = performance.now() + this.#lockTimeoutMs
    for (let count = 1; ; count++) {
      if (this.#closed) throw closedError(this.#layout.owner)
      try {
        return work()
      } catch (error) {
        if (!isBusy(error)) throw toSituError(error, place === '' ? this.path : `${this.path}, ${place}`)
        if (performance.now() > deadline) {
          throw new SituError('DATA_IN_USE', `${this.path}: locked for more than ${this.#lockTimeoutMs} ms`, {
            cause: error,
          })
        }
      }
      await sleep(Math.random() * Math.min(5 * count, 50))
    }
  }

  #transaction<T>(begin: string, work: () => T): T {
    this.statement(begin).run()
    try {
      const result = work()
      this.statement('COMMIT').run()
      return result
    } catch (error) {
      // A full disk makes SQLite roll back by itself.
      if (this.#sqlite.isTransaction) this.statement('ROLLBACK').run()
      throw error
    }
  }

  async #prepareFile(options: DatabaseOptions): Promise<void> {
    const fresh = await this.#attempt(() => this.#checkHeader())
    if (fresh && (options.readOnly || !options.create)) throw noFolder(this.folder)
    if (fresh) {
      const { pageBytes, createTables, version, shrinks = false } = this.#layout
      const vacuum = shrinks ? 'PRAGMA auto_vacuum = INCREMENTAL;' : ''
      const settings = `PRAGMA page_size = ${pageBytes}; ${vacuum} PRAGMA journal_mode = WAL`
      await this.#attempt(() => this.#sqlite.exec(settings))
      await this.write(() => {
        // Another process may have been quicker.
        if (this.#checkHeader()) this.#sqlite.exec(createTables)
        this.#sqlite.exec(`PRAGMA application_id = ${this.#layout.applicationId}; PRAGMA user_version = ${version}`)
      })
    }
    // 64 MB is what a large commit may leave behind; the usual size is 1,000 pages.
    const settings = 'PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384'
    await this.#attempt(() => this.#sqlite.exec(settings))
    this.#changedElsewhere()
  }

  /** True where the file is empty. */
  #checkHeader(): boolean {
    const version = this.#pragma('user_version')
    const application = this.#pragma('application_id')
    if (application === 0 && version === 0 && this.#pragma('schema_version') === 0) return true
    if (application !== this.#layout.applicationId) {
      throw new SituError('DATA_CORRUPT', `${this.path}: a database of another program (application id ${application})`)
    }
    if (version > this.#layout.version) {
      throw new SituError(
        'DATA_VERSION',
        `${this.path}: written by a newer Situ: data version ${version}, this one knows up to ${this.#layout.version}`,
      )
    }
    return false
  }

  #pragma(name: string): number {
    return Number(Object.values(this.#sqlite.prepare(`PRAGMA ${name}`).get() ?? {})[0])
  }

  #changedElsewhere(): boolean {
    try {
      const row = this.statement('PRAGMA data_version').get()
      const version = Number(row?.data_version)
      const changed = version !== this.#dataVersion
      this.#dataVersion = version
      return changed
    } catch {
      // The reader that is woken up meets the error itself, and can tell it.
      return true
    }
  }
}

function makeDataFolder(folder: string): void {
  try {
    makeFolder(folder)
  } catch (cause) {
    throw new SituError('DATA_UNREADABLE', `data folder ${folder} can't be made: ${messageOf(cause)}`, { cause })
  }
}

function checkThere(folder: string, path: string): void {
  try {
    statSync(path)
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') throw noFolder(folder)
    throw new SituError('DATA_UNREADABLE', `data folder ${folder} can't be read: ${messageOf(cause)}`, { cause })
  }
}

function noFolder(folder: string): SituError {
  return new SituError('DATA_UNREADABLE', `no data folder at ${folder}; situ ingest makes one`)
}
