import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { runCommand } from './command.ts'
import { atDeath, type Host, type Running, startChild, type Unit } from './host.ts'

/** Runs units as containers of one compose project, on this machine's network and with its folder, so as Java would. */
export class ComposeHost implements Host {
  readonly #folder: string
  readonly #project: readonly string[]
  readonly #units = new Map<string, Unit>()
  readonly #running = new Set<Running>()
  readonly #cancel: () => void
  #isClosed = false

  constructor(folder: string) {
    this.#folder = folder
    const file = join(folder, 'compose.json')
    this.#project = ['compose', '--project-name', basename(folder).toLowerCase(), '--file', file]
    this.#cancel = atDeath('docker "$@" down --volumes --timeout 0; rm -rf "$(dirname "$5")"', ...this.#project)
  }

  pids(): number[] {
    return [...this.#running].map(({ pid }) => pid)
  }

  async start(unit: Unit): Promise<Running> {
    if (this.#isClosed) throw new Error(`${unit.name}: the services are being stopped`)
    const { name } = unit
    this.#units.set(name, unit)
    this.#writeFile()
    const words = [...this.#project, 'up', '--no-log-prefix', '--no-deps', name]
    const child = startChild('docker', words, join(this.#folder, `${name}.log`), this.#folder)
    const running = {
      pid: child.pid,
      exited: child.exited,
      signal: (signal: NodeJS.Signals) => this.#kill(name, signal),
    }
    this.#running.add(running)
    child.exited.then(() => this.#running.delete(running))
    return running
  }

  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#units.size > 0) await this.#compose(['down', '--volumes', '--timeout', '0'])
    await Promise.all([...this.#running].map(({ exited }) => exited))
    rmSync(this.#folder, { recursive: true, force: true })
    this.#cancel()
  }

  #kill(name: string, signal: NodeJS.Signals): Promise<void> {
    return this.#compose(['kill', '--signal', signal, name])
  }

  async #compose(words: readonly string[]): Promise<void> {
    await runCommand('docker', [...this.#project, ...words], { timeoutMs: 60_000 })
  }

  #writeFile(): void {
    const user = `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`
    const services = Object.fromEntries(
      [...this.#units.values()].map(({ name, container }) => [
        name,
        { ...container, user, network_mode: 'host', volumes: [`${this.#folder}:${this.#folder}`] },
      ]),
    )
    // Whole at any time: the start of another unit may be reading it.
    const file = join(this.#folder, 'compose.json')
    writeFileSync(`${file}.part`, JSON.stringify({ services }, null, 2), { mode: 0o600 })
    renameSync(`${file}.part`, file)
  }
}
