import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises'
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
 * renamed at the end. A link stays a link. What is no file (a device, a named pipe) is written as it is: a rename would
 * put a file in its place. A name that ends in .gz packs it; `-` is stdout.
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
      const target = await targetOf(path)
      return new OutputFile(new PackedFile(path, target, await open(target.writeTo, 'w')))
    } catch (error) {
      throw unwritable(path, error)
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

/** Where the bytes go, and where the file is to be in the end; null where it is there already. */
interface Place {
  writeTo: string
  moveTo: string | null
}

async function targetOf(path: string): Promise<Place> {
  const real = await realpath(path).catch(() => path)
  const isSpecial = await stat(real).then(
    found => !found.isFile(),
    () => false,
  )
  return isSpecial ? { writeTo: real, moveTo: null } : { writeTo: `${real}.partial`, moveTo: real }
}

class PackedFile implements Target {
  readonly path: string
  readonly live = false
  readonly #place: Place
  readonly #file: FileHandle
  readonly #gzip: Gzip | null
  #packed: Buffer[] = []

  constructor(path: string, place: Place, file: FileHandle) {
    this.path = path
    this.#place = place
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
    const { writeTo, moveTo } = this.#place
    if (moveTo !== null) await this.#file.sync()
    await this.#file.close()
    if (moveTo === null) return
    await rename(writeTo, moveTo)
    await syncFolder(dirname(moveTo))
  }

  async abort(): Promise<void> {
    this.#gzip?.destroy()
    await this.#file.close().catch(() => {})
    if (this.#place.moveTo !== null) await rm(this.#place.writeTo, { force: true }).catch(() => {})
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
