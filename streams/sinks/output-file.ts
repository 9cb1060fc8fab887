import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { createGzip, type Gzip } from 'node:zlib'
import { messageOf, SituError } from '../../schemas/errors.ts'

/** Small lines are gathered up to this length. */
const blockCharacters = 64 * 1024

/** Where blocks of text go. */
interface Target {
  readonly path: string
  /** Whether somebody may wait for each line. */
  readonly live: boolean
  write(text: string): Promise<void>
  close(): Promise<void>
  abort(): Promise<void>
}

/**
 * Text into a file that is complete or absent: it is written beside it as `<file>.partial`, flushed to the disk and
 * renamed at the end. A name that ends in .gz packs it; `-` is stdout.
 */
export class OutputFile {
  readonly #target: Target
  #block: string[] = []
  #blockCharacters = 0
  #ended = false

  /** @throws {SituError} OUTPUT_UNWRITABLE, DISK_FULL */
  static async open(path: string): Promise<OutputFile> {
    if (path === '-') return new OutputFile(new StandardOutput())
    try {
      return new OutputFile(new PartialFile(path, await open(`${path}.partial`, 'w')))
    } catch (error) {
      throw unwritable(`${path}.partial`, error)
    }
  }

  private constructor(target: Target) {
    this.#target = target
  }

  async write(text: string): Promise<void> {
    this.#block.push(text)
    this.#blockCharacters += text.length
    if (this.#target.live || this.#blockCharacters >= blockCharacters) await this.#flush()
  }

  async close(): Promise<void> {
    if (this.#ended) return
    await this.#flush()
    this.#ended = true
    try {
      await this.#target.close()
    } catch (error) {
      await this.#target.abort()
      throw unwritable(this.#target.path, error)
    }
  }

  async abort(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    await this.#target.abort()
  }

  async #flush(): Promise<void> {
    const text = this.#block.join('')
    this.#block = []
    this.#blockCharacters = 0
    try {
      if (text !== '') await this.#target.write(text)
    } catch (error) {
      throw unwritable(this.#target.path, error)
    }
  }
}

class PartialFile implements Target {
  readonly path: string
  readonly live = false
  readonly #file: FileHandle
  readonly #gzip: Gzip | null
  #packed: Buffer[] = []

  constructor(path: string, file: FileHandle) {
    this.path = path
    this.#file = file
    this.#gzip = path.endsWith('.gz') ? createGzip() : null
    this.#gzip?.on('data', (chunk: Buffer) => this.#packed.push(chunk))
  }

  async write(text: string): Promise<void> {
    const gzip = this.#gzip
    if (!gzip) return this.#file.appendFile(text)
    await promisify((done: (error?: Error | null) => void) => gzip.write(text, done))()
    await this.#writePacked()
  }

  async close(): Promise<void> {
    const gzip = this.#gzip
    if (gzip) {
      await new Promise((resolve, reject) => gzip.once('end', resolve).once('error', reject).end())
      await this.#writePacked()
    }
    await this.#file.sync()
    await this.#file.close()
    await rename(`${this.path}.partial`, this.path)
    await syncFolder(dirname(this.path))
  }

  async abort(): Promise<void> {
    this.#gzip?.destroy()
    await this.#file.close().catch(() => {})
    await rm(`${this.path}.partial`, { force: true }).catch(() => {})
  }

  async #writePacked(): Promise<void> {
    const bytes = Buffer.concat(this.#packed)
    this.#packed = []
    if (bytes.length > 0) await this.#file.appendFile(bytes)
  }
}

class StandardOutput implements Target {
  readonly path = 'stdout'
  readonly live = true

  constructor() {
    // The write's own callback reports it; without a listener it would end the process.
    process.stdout.on('error', () => {})
  }

  write(text: string): Promise<void> {
    return promisify((done: (error?: Error | null) => void) => process.stdout.write(text, done))()
  }

  async close(): Promise<void> {}

  async abort(): Promise<void> {}
}

/** The rename is on disk only when the folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

function unwritable(path: string, error: unknown): SituError {
  const code = error instanceof Error && 'code' in error ? error.code : null
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new SituError('DISK_FULL', `${path}: the disk is full`, { cause: error })
  }
  return new SituError('OUTPUT_UNWRITABLE', `${path} can't be written: ${messageOf(error)}`, { cause: error })
}
