import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

const running = new Set<ChildProcess>()

/** A script as a process of its own, that prints one JSON value a line. */
export class Child {
  readonly #process: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #exit: Promise<unknown>

  /** @param around - A command that runs it, with its arguments. @param user - Id of the user whose rights it has. */
  constructor(
    script: string,
    words: readonly string[],
    { around = [], user = 0 }: { around?: readonly string[]; user?: number } = {},
  ) {
    const [command = '', ...rest] = [...around, process.execPath, script, ...words]
    const env = { ...process.env, SITU_TEST_USER: String(user) }
    const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'], env })
    this.#process = child
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    running.add(child)
    this.#exit = new Promise(resolve => {
      child.once('exit', resolve)
      child.once('error', resolve)
    }).then(() => running.delete(child))
  }

  /** The next line that it prints. */
  async next(): Promise<unknown> {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error('the child process ended without another line')
    return JSON.parse(value)
  }

  /** As the system does where memory is short: no chance to clean up. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#exit
  }

  /** It lives and is silent from now on. */
  stop(): void {
    this.#process.kill('SIGSTOP')
  }

  async ended(): Promise<void> {
    await this.#exit
  }
}

/** Ends what a failed test has left behind. */
export function killChildren(): void {
  for (const child of running) child.kill('SIGKILL')
}
