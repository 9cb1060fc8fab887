import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { runCommand } from '../services/command.ts'

const requirements = [
  'confluent-kafka==2.16.0',
  'fastavro==1.13.1',
  'authlib==1.9.9',
  'attrs==26.1.0',
  'cachetools==8.0.1',
  'certifi==2026.10.18',
  'httpx2==2.16.2',
  'requests==2.34.2',
]
const installMs = 5 * 60_000

/** Why no Python client can run here; null where one can. */
export async function missingPython(): Promise<string | null> {
  try {
    await runCommand('python3', ['-c', 'import venv, ensurepip'])
    return null
  } catch (error) {
    return `no python3 with venv and pip: ${(error as Error).message}`
  }
}

/** A Python with the packages of a Kafka client, installed once into the user's cache. */
export async function pythonWithClient(): Promise<string> {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  const hash = createHash('sha256').update(requirements.join('\n')).digest('hex').slice(0, 16)
  const folder = join(cache, 'situ', 'python', hash)
  const python = join(folder, 'bin', 'python')
  if (existsSync(folder)) return python
  const partial = `${folder}.${process.pid}.part`
  mkdirSync(join(folder, '..'), { recursive: true })
  try {
    await runCommand('python3', ['-m', 'venv', partial], { timeoutMs: installMs })
    const words = ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', ...requirements]
    await runCommand(join(partial, 'bin', 'python'), words, { timeoutMs: installMs })
    renameSync(partial, folder)
  } catch (error) {
    // Another process may have been quicker.
    if (!existsSync(folder)) throw error
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
  return python
}
