import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCommand } from './command.ts'
import { freePorts } from './ports.ts'
import { waitUntil } from './ready.ts'

/** The program of the server; installed by apt-get where it is missing and that is possible. @throws {Error} It is not to be had. */
export async function findRedis(): Promise<string> {
  const found = (await firstThatRuns()) ?? ((await install()) ? await firstThatRuns() : null)
  if (found) return found
  throw new Error('neither redis-server nor valkey-server is in the PATH, and apt-get can not install it here')
}

async function firstThatRuns(): Promise<string | null> {
  for (const program of ['redis-server', 'valkey-server']) {
    if (await succeeds(program, ['--version'])) return program
  }
  return null
}

async function install(): Promise<boolean> {
  if (process.getuid?.() !== 0) return false
  await succeeds('apt-get', ['update', '-qq'], 120_000)
  for (const name of ['redis-server', 'valkey-server']) {
    if (await succeeds('apt-get', ['install', '-y', '-qq', '--no-install-recommends', name], 180_000)) return true
  }
  return false
}

async function succeeds(file: string, words: string[], timeoutMs = 5000): Promise<boolean> {
  try {
    await runCommand(file, words, { timeoutMs })
    return true
  } catch {
    return false
  }
}

/** A server of its own on a free port, without anything on the disk but what its log of writes needs. */
export class RedisServer {
  readonly port: number
  readonly #program: string
  readonly #folder: string
  readonly #words: readonly string[]
  #process: ChildProcess | null = null

  private constructor(program: string, port: number, words: readonly string[]) {
    this.#program = program
    this.port = port
    this.#folder = mkdtempSync(join(tmpdir(), 'situ-redis-'))
    this.#words = words
  }

  /** @param words - Further options of the server, such as `--requirepass`. */
  static async start(...words: string[]): Promise<RedisServer> {
    const [port = 0] = await freePorts(1)
    const server = new RedisServer(await findRedis(), port, words)
    await server.restart()
    return server
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}/0`
  }

  async restart(): Promise<void> {
    const own = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder, '--save', '']
    const child = spawn(this.#program, [...own, '--appendonly', 'yes', ...this.#words], { stdio: 'pipe' })
    this.#process = child
    let printed = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', data => (printed += data))
    const ended = once(child, 'exit').then(() => printed.slice(-2000))
    await waitUntil('Redis', async () => printed.includes('Ready to accept connections'), { timeoutMs: 10_000, ended })
  }

  /** Resolves when it has ended; with SIGSTOP and SIGCONT at once. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') await ended
  }

  async stop(): Promise<void> {
    await this.kill('SIGKILL')
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
