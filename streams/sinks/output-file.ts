import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { messageOf, SituError } from '../../schemas/errors.ts'

/** Written at once: small lines are gathered. */
const blockCharacters = 64 * 1024

/**
 * Text into a file that is complete or absent: it is written beside it as `<file>.partial`, flushed to the disk and
 * renamed at the end. A name that ends in .gz packs it; `-` is stdout.
 */
export class OutputFile {
  readonly #path: string
  readonly #stream: Writable
  /** Null for stdout. */
  readonly #file: FileHandle | null
  readonly #failed: Promise<never>
  #block: string[] = []
  #blockCharacters = 0
  #ended = false

  static async open(path: string): Promise<OutputFile> {
    if (path === '-') return new OutputFile(path, process.stdout, null)
    const partial = `${path}.partial`
    try {
      const file = await open(partial, 'w')
      const target = file.createWriteStream({ autoClose: false })
      if (!path.endsWith('.gz')) return new OutputFile(path, target, file)
      const packed = createGzip()
      target.on('error', error => packed.destroy(error))
      packed.pipe(target)
      return new OutputFile(path, packed, file, target)
    } catch (error) {
      throw unwritable(partial, error)
    }
  }

  readonly #target: Writable

  private constructor(path: string, stream: Writable, file: FileHandle | null, target = stream) {
    this.#path = path
    this.#stream = stream
    this.#file = file
    this.#target = target
    this.#failed = new Promise((_, reject) => {
      stream.on('error', error => reject(unwritable(path === '-' ? 'stdout' : `${path}.partial`, error)))
    })
    this.#failed.catch(() => {})
  }

  async write(text: string): Promise<void> {
    this.#block.push(text)
    this.#blockCharacters += text.length
    // What goes to stdout may be read by somebody who waits for it.
    if (this.#blockCharacters >= blockCharacters || !this.#file) await this.#flush()
  }

  async close(): Promise<void> {
    if (this.#ended) return
    await this.#flush()
    this.#ended = true
    if (!this.#file) return
    try {
      this.#stream.end()
      await Promise.race([finished(this.#target), this.#failed])
      await this.#file.sync()
      await this.#file.close()
      await rename(`${this.#path}.partial`, this.#path)
      await syncFolder(dirname(this.#path))
    } catch (error) {
      await this.#remove()
      throw unwritable(this.#path, error)
    }
  }

  async abort(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    if (this.#file) await this.#remove()
  }

  async #flush(): Promise<void> {
    const text = this.#block.join('')
    this.#block = []
    this.#blockCharacters = 0
    if (this.#stream.destroyed) await Promise.race([this.#failed, finished(this.#stream)])
    if (text === '' || this.#stream.write(text)) return
    const drained = new Promise<void>(resolve => this.#stream.once('drain', resolve))
    await Promise.race([drained, this.#failed])
  }

  async #remove(): Promise<void> {
    this.#stream.destroy()
    this.#target.destroy()
    await this.#file?.close().catch(() => {})
    await rm(`${this.#path}.partial`, { force: true }).catch(() => {})
  }
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
  if (error instanceof SituError) return error
  const code = error instanceof Error && 'code' in error ? error.code : null
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new SituError('DISK_FULL', `${path}: the disk is full`, { cause: error })
  }
  return new SituError('OUTPUT_UNWRITABLE', `${path} can't be written: ${messageOf(error)}`, { cause: error })
}
