import type { Clock } from '../clock.ts'

const intervalMs = { terminal: 200, plain: 5_000 }

/** Shows how far a command is: a line that is written over on a terminal, else a plain line every few seconds. */
export class Progress {
  readonly #out: NodeJS.WriteStream
  readonly #clock: Clock
  readonly #render: () => string
  readonly #ended = new AbortController()
  #shown = ''

  /** @param out - Usually stderr: stdout is for data. */
  constructor(out: NodeJS.WriteStream, clock: Clock, render: () => string) {
    this.#out = out
    this.#clock = clock
    this.#render = render
    void this.#loop()
  }

  async #loop(): Promise<void> {
    const interval = this.#out.isTTY ? intervalMs.terminal : intervalMs.plain
    while (!this.#ended.signal.aborted) {
      await this.#clock.sleep(interval, this.#ended.signal)
      if (!this.#ended.signal.aborted) this.#show()
    }
  }

  #show(): void {
    const line = this.#render()
    if (this.#out.isTTY) this.#out.write(`\r\u001B[2K${line.slice(0, Math.max(20, (this.#out.columns || 80) - 1))}`)
    else if (line !== this.#shown) this.#out.write(`${line}\n`)
    this.#shown = line
  }

  end(): void {
    this.#ended.abort()
    if (this.#out.isTTY) this.#out.write('\r\u001B[2K')
  }
}
