import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ChangeSignal } from '../../streams/transports/change-signal.ts'

const ownCli = join(import.meta.dirname, '../../streams/cli.ts')

export interface Finished {
  code: number | null
  stdout: string
  stderr: string
  seconds: number
  /** User + system, as last seen; 0 where the system does not tell. */
  cpuSeconds: number
  peakMegabytes: number
}

export interface SituOptions {
  env?: Record<string, string>
  cwd?: string
  /** What is written to stdin, which then ends; without it stdin stays open. */
  input?: string
  /** Source of the command; default: this checkout's. */
  cli?: string
  /** User to run as; only root may choose. */
  uid?: number
}

/** A `situ` process of its own: node is started directly, so that a kill hits it. */
export class Situ {
  readonly child: ChildProcess
  stdout = ''
  stderr = ''
  readonly #start = performance.now()
  readonly #usage = { cpuSeconds: 0, peakMegabytes: 0 }
  readonly #timer: NodeJS.Timeout
  readonly #output = new ChangeSignal()
  #hasEnded = false
  readonly done: Promise<Finished>

  constructor(words: readonly string[], options: SituOptions = {}) {
    const { OPENAI_API_KEY: _key, OPENAI_BASE_URL: _url, ...inherited } = process.env
    const clean = Object.fromEntries(Object.entries(inherited).filter(([name]) => !name.startsWith('SITU_')))
    const { cwd, uid, cli = ownCli } = options
    const user = uid === undefined ? {} : { uid, gid: uid }
    this.child = spawn(process.execPath, [cli, ...words], { env: { ...clean, ...options.env }, cwd, ...user })
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text
      this.#output.raise()
    })
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
      this.#output.raise()
    })
    if (options.input !== undefined) this.child.stdin?.end(options.input)
    this.#timer = setInterval(() => this.#sample(), 50)
    this.done = new Promise(resolve => {
      this.child.on('close', code => {
        clearInterval(this.#timer)
        this.#hasEnded = true
        this.#output.raise()
        const seconds = (performance.now() - this.#start) / 1000
        resolve({ code, stdout: this.stdout, stderr: this.stderr, seconds, ...this.#usage })
      })
    })
  }

  /**
   * Resolves once what was printed so far is as wanted.
   *
   * @throws The process has ended without it.
   */
  async printed(isWanted: (output: Pick<Situ, 'stdout' | 'stderr'>) => boolean): Promise<void> {
    while (!isWanted(this)) {
      if (this.#hasEnded) throw new Error(`situ has ended without what was waited for:\n${this.stdout}\n${this.stderr}`)
      await this.#output.wait(this.#output.count)
    }
  }

  /** As last seen; 0 where the system does not tell. */
  get peakMegabytes(): number {
    return this.#usage.peakMegabytes
  }

  #sample(): void {
    try {
      const fields = readFileSync(`/proc/${this.child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
      this.#usage.cpuSeconds = (Number(fields[11]) + Number(fields[12])) / 100
      const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${this.child.pid}/status`, 'utf8'))
      if (peak) this.#usage.peakMegabytes = Number(peak[1]) / 1024
    } catch {
      // The process has ended.
    }
  }
}

/** Runs a command to its end. */
export function situ(words: readonly string[], options?: ConstructorParameters<typeof Situ>[1]): Promise<Finished> {
  return new Situ(words, options).done
}

/** As `situ`, and throws with all that was printed where the exit code is not 0. */
export async function mustSitu(
  words: readonly string[],
  options?: ConstructorParameters<typeof Situ>[1],
): Promise<Finished> {
  const finished = await situ(words, options)
  if (finished.code !== 0) {
    throw new Error(`situ ${words.join(' ')} ended with ${finished.code}\n${finished.stdout}\n${finished.stderr}`)
  }
  return finished
}

/** What a command prints, a JSON value a line. */
export async function linesOf<T = unknown>(words: readonly string[]): Promise<T[]> {
  const { stdout } = await mustSitu(words)
  return stdout
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as T)
}

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'situ-test-'))
}

export function removeFolder(path: string): void {
  rmSync(path, { recursive: true, force: true })
}
