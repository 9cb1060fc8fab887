import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A service as each kind of host runs it: `java ARGUMENTS`, or a container. Its folder has the same path in both. */
export interface Unit {
  name: string
  java: readonly string[]
  container: { image: string; entrypoint?: readonly string[]; environment?: Readonly<Record<string, string>> }
}

/** A service that was started. */
export interface Running {
  readonly pid: number
  /** Resolves with the reason and the end of its log. */
  readonly exited: Promise<string>
  /** Resolves when the signal is sent; wait for `exited` after one that ends it. */
  signal(name: NodeJS.Signals): Promise<void>
}

/** What runs units: this machine's Java, or an engine of containers. */
export interface Host {
  /** Of the units that run. */
  pids(): number[]
  start(unit: Unit): Promise<Running>
  /** Ends all units and removes the folder. */
  close(): Promise<void>
}

/** Starts a child of its own process group, so that a Ctrl-C in the terminal is left to us, with its output in a file. */
export function startChild(
  file: string,
  words: readonly string[],
  logFile: string,
  cwd: string,
  environment: Readonly<Record<string, string>> = {},
): Child {
  const log = openSync(logFile, 'a')
  const env = { ...process.env, ...environment }
  const child = spawn(file, words, { cwd, env, detached: true, stdio: ['ignore', log, log] })
  closeSync(log)
  return new Child(child, logFile)
}

export class Child {
  readonly pid: number
  readonly exited: Promise<string>
  readonly #child: ChildProcess

  constructor(child: ChildProcess, logFile: string) {
    this.#child = child
    this.pid = child.pid ?? 0
    this.exited = new Promise(resolve => {
      child.once('error', error => resolve(error.message))
      child.once('exit', (code, signal) =>
        resolve(`${signal ?? `exit code ${code}`}; ${logFile} ends with\n${tail(logFile)}`),
      )
    })
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }
}

function tail(file: string): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-10).join('\n')
}

/** Runs a shell command when this process has ended in any way, by kill -9 too, unless it is cancelled. */
export function atDeath(command: string, ...words: string[]): () => void {
  const guard = spawn('sh', ['-c', `read cancelled || { ${command}; }`, 'sh', ...words], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  guard.unref()
  const stdin = guard.stdin as NonNullable<typeof guard.stdin> & { unref?: () => void }
  stdin.on('error', () => {})
  stdin.unref?.()
  return () => stdin.end('cancelled\n')
}

/** Runs units with this machine's Java. Each leaves a file with its pid in the folder for as long as it lives. */
export class JavaHost implements Host {
  readonly #folder: string
  readonly #running = new Set<Running>()
  readonly #cancel: () => void
  #isClosed = false

  constructor(folder: string) {
    this.#folder = folder
    this.#cancel = atDeath('kill -9 $(cat "$1"/*.pid); sleep 1; rm -rf "$1"', folder)
  }

  pids(): number[] {
    return [...this.#running].map(({ pid }) => pid)
  }

  async start({ name, java }: Unit): Promise<Running> {
    if (this.#isClosed) throw new Error(`${name}: the services are being stopped`)
    const child = startChild('java', java, join(this.#folder, `${name}.log`), this.#folder)
    const pidFile = join(this.#folder, `${name}.pid`)
    if (child.pid > 0) writeFileSync(pidFile, `${child.pid}\n`)
    const running = { pid: child.pid, exited: child.exited, signal: async (name: NodeJS.Signals) => child.signal(name) }
    this.#running.add(running)
    child.exited.then(() => {
      this.#running.delete(running)
      rmSync(pidFile, { force: true })
    })
    return running
  }

  async close(): Promise<void> {
    this.#isClosed = true
    // Data and processes are for this run only: there is nothing that a slow end would save.
    for (const { signal } of this.#running) await signal('SIGKILL')
    await Promise.all([...this.#running].map(({ exited }) => exited))
    rmSync(this.#folder, { recursive: true, force: true })
    this.#cancel()
  }
}
