import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { runCommand } from './command.ts'

const installMs = 10 * 60_000

/** Why no Python program can be installed here; null where one can. */
export async function missingPython(): Promise<string | null> {
  try {
    await runCommand('python3', ['-c', 'import venv, ensurepip'])
    return null
  } catch (error) {
    return `no python3 with venv and pip: ${(error as Error).message}`
  }
}

export interface PythonOptions {
  /** Packages with their versions. */
  requirements: readonly string[]
  /** Packages that are only unpacked, into `files`: for what they hold beside code. */
  files?: readonly string[]
}

/** A Python of its own with these packages, installed once into the user's cache. */
export async function installPython({
  requirements,
  files = [],
}: PythonOptions): Promise<{ python: string; files: string }> {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  const all = [...requirements, ...files.map(name => `files ${name}`)].join('\n')
  const hash = createHash('sha256').update(all).digest('hex').slice(0, 16)
  const folder = join(cache, 'situ', 'python', hash)
  if (!existsSync(folder)) await installInto(folder, requirements, files)
  return { python: join(folder, 'bin', 'python'), files: join(folder, 'files') }
}

/** Installs beside the folder, which appears whole or not at all. */
async function installInto(folder: string, requirements: readonly string[], files: readonly string[]): Promise<void> {
  const partial = `${folder}.${process.pid}.part`
  const python = (...words: string[]) => runCommand(join(partial, 'bin', 'python'), words, { timeoutMs: installMs })
  const pip = (command: string, ...words: string[]) =>
    python('-m', 'pip', command, '-q', '--disable-pip-version-check', ...words)
  mkdirSync(join(folder, '..'), { recursive: true })
  try {
    await runCommand('python3', ['-m', 'venv', partial], { timeoutMs: installMs })
    await pip('install', ...requirements)
    if (files.length > 0)
      await pip('install', '--no-deps', '--no-compile', '--target', join(partial, 'files'), ...files)
    renameSync(partial, folder)
  } catch (error) {
    // Another process may have been quicker.
    if (!existsSync(folder)) throw error
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
}
