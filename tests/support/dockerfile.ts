import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import picomatch from 'picomatch'

export interface Instruction {
  /** In capitals. */
  name: string
  text: string
}

/** The instructions of a Dockerfile: comments left out, continued lines joined. */
export function parseDockerfile(text: string): Instruction[] {
  const lines = text.split('\n').filter(line => !/^\s*#/.test(line))
  const joined = lines.join('\n').replace(/\\\n/g, ' ')
  return joined.split('\n').flatMap(line => {
    const [, name, rest = ''] = /^\s*([A-Za-z]+)\s+(.*)$/.exec(line) ?? []
    return name ? [{ name: name.toUpperCase(), text: rest.trim() }] : []
  })
}

interface Stage {
  name: string
  folder: string
  workdir: string
}

/**
 * Runs the steps of a Dockerfile without an engine: each stage is a folder that stands for `/`, RUN is a shell in
 * WORKDIR with the machine's own programs. What only an engine can do (images, users) is left out, so paths in RUN must
 * be relative.
 */
export class DockerfileRun {
  readonly #context: string
  readonly #ignored: (path: string) => boolean
  readonly #stages: Stage[] = []
  readonly #folder: string
  readonly #environment: Record<string, string> = {}
  #entrypoint: string[] = []

  constructor(context: string, folder: string) {
    this.#context = context
    this.#folder = folder
    this.#ignored = readIgnored(join(context, '.dockerignore'))
  }

  build(): void {
    const instructions = parseDockerfile(readFileSync(join(this.#context, 'Dockerfile'), 'utf8'))
    for (const instruction of instructions) this.#step(instruction)
  }

  /** Runs the entry point with words, as `docker run` does. @returns What it printed. */
  run(...words: string[]): string {
    const [program = '', ...fixed] = this.#entrypoint.map(word => (word.startsWith('/') ? this.#path(word) : word))
    return this.#execute(program === 'node' ? process.execPath : program, [...fixed, ...words])
  }

  #step({ name, text }: Instruction): void {
    if (name === 'FROM') this.#from(text)
    else if (name === 'WORKDIR') {
      this.#stage.workdir = resolve(this.#stage.workdir, text)
      mkdirSync(this.#path('.'), { recursive: true })
    } else if (name === 'COPY') this.#copy(text)
    else if (name === 'RUN') {
      if (/(^|[\s=])\/[a-z]/.test(text)) throw new Error(`RUN has an absolute path: ${text}`)
      this.#execute('sh', ['-c', text])
    } else if (name === 'ENV') {
      const [key = '', value = ''] = text.split('=')
      this.#environment[key] = value
    } else if (name === 'ENTRYPOINT') this.#entrypoint = JSON.parse(text)
    else if (!['CMD', 'USER', 'VOLUME'].includes(name)) throw new Error(`unknown instruction ${name}`)
  }

  get #stage(): Stage {
    const stage = this.#stages.at(-1)
    if (!stage) throw new Error('an instruction before FROM')
    return stage
  }

  #from(text: string): void {
    const [, name = String(this.#stages.length)] = / AS (\S+)$/i.exec(text) ?? []
    const folder = join(this.#folder, name)
    mkdirSync(folder, { recursive: true })
    this.#stages.push({ name, folder, workdir: '/' })
  }

  /** Where a path of the current stage is on this machine. */
  #path(path: string, { folder, workdir }: Stage = this.#stage): string {
    return path.startsWith('/') ? join(folder, path) : join(folder, workdir, path)
  }

  #copy(text: string): void {
    const words = text.split(/\s+/)
    const flags = words.filter(word => word.startsWith('--'))
    const paths = words.filter(word => !word.startsWith('--'))
    const target = paths.pop() ?? ''
    const from = flags.find(flag => flag.startsWith('--from='))?.slice('--from='.length)
    const stage = from === undefined ? null : this.#stages.find(({ name }) => name === from)
    if (stage === undefined) throw new Error(`COPY from an unknown stage: ${text}`)
    for (const path of paths) {
      const source = stage ? this.#path(path, stage) : join(this.#context, path)
      if (!existsSync(source)) throw new Error(`COPY: there is no ${path}`)
      const isFolder = statSync(source).isDirectory()
      const into = !isFolder && target.endsWith('/') ? join(target, basename(path)) : target
      if (isFolder) this.#copyFolder(source, this.#path(into), stage === null)
      else copyFile(source, this.#path(into))
    }
  }

  /** As COPY does: what is in the folder, not the folder itself. */
  #copyFolder(source: string, target: string, fromContext: boolean): void {
    mkdirSync(target, { recursive: true })
    for (const name of readdirSync(source)) {
      if (fromContext && this.#ignored(name)) continue
      cpSync(join(source, name), join(target, name), { recursive: true, verbatimSymlinks: true })
    }
  }

  #execute(program: string, words: readonly string[]): string {
    const inherited = Object.entries(process.env).filter(
      ([name]) => !/^(SITU_|OPENAI_|VITEST|NODE_ENV$|npm_(package|lifecycle|command))/.test(name),
    )
    const path = `${dirname(process.execPath)}:${process.env.PATH}`
    return execFileSync(program, words, {
      cwd: this.#path('.'),
      env: { ...Object.fromEntries(inherited), ...this.#environment, PATH: path },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 240_000,
      maxBuffer: 64 * 1024 * 1024,
    })
  }
}

function copyFile(source: string, target: string): void {
  mkdirSync(dirname(target), { recursive: true })
  cpSync(source, target)
}

/** Top-level names only: the last pattern that fits decides, `!` takes back. */
function readIgnored(path: string): (name: string) => boolean {
  const patterns = readFileSync(path, 'utf8')
    .split('\n')
    .filter(line => line !== '' && !line.startsWith('#'))
  const rules = patterns.map(line => ({
    keeps: line.startsWith('!'),
    matches: picomatch(line.replace(/^!/, ''), { dot: true }),
  }))
  return name => rules.findLast(({ matches }) => matches(name))?.keeps === false
}
