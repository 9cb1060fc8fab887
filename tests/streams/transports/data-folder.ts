import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type EmbeddedOptions,
  type EmbeddedTransport,
  openEmbedded,
} from '../../../streams/transports/embedded/index.ts'

/** A data folder of its own for each test, and the transports on it. */
export class DataFolder {
  readonly parent = mkdtempSync(join(tmpdir(), 'situ-test-'))
  readonly path = join(this.parent, 'data')
  readonly #opened: EmbeddedTransport[] = []

  async open(options: Partial<EmbeddedOptions> = {}): Promise<EmbeddedTransport> {
    const transport = await openEmbedded(this.path, { create: true, retryHeldMs: 20, ...options })
    this.#opened.push(transport)
    return transport
  }

  async remove(): Promise<void> {
    for (const transport of this.#opened) await transport.close()
    rmSync(this.parent, { recursive: true, force: true })
  }
}
