import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { runCommand } from './command.ts'

const servicesPom = join(import.meta.dirname, 'pom.xml')
const downloadMs = 10 * 60_000

/** The folder of what a pom.xml fetches, whether it is there yet or not; another pom.xml is another folder. */
export function downloadFolder(pomFile = servicesPom): string {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  const hash = createHash('sha256').update(readFileSync(pomFile)).digest('hex').slice(0, 16)
  return join(cache, 'situ', 'services', hash)
}

export function isDownloaded(pomFile = servicesPom): boolean {
  return existsSync(downloadFolder(pomFile))
}

/** A version that pom.xml pins, by the name of its property. */
export function pinnedVersion(name: 'kafka' | 'apicurio'): string {
  const version = new RegExp(`<${name}\\.version>([^<]+)<`).exec(readFileSync(servicesPom, 'utf8'))?.[1]
  if (version === undefined) throw new Error(`${servicesPom} pins no ${name}.version`)
  return version
}

/** Fetches what a pom.xml names where it is not there yet, once, however many processes ask at the same time. */
export async function download(pomFile = servicesPom): Promise<string> {
  const folder = downloadFolder(pomFile)
  const lock = `${folder}.lock`
  const deadline = Date.now() + downloadMs
  while (!isDownloaded(pomFile)) {
    if (takeLock(lock)) {
      try {
        await fetchInto(pomFile, folder)
      } finally {
        rmSync(lock, { force: true })
      }
    } else if (Date.now() > deadline) {
      throw new Error(`another process has been downloading the test services for ${downloadMs / 60_000} min: ${lock}`)
    } else {
      await sleep(250)
    }
  }
  return folder
}

/** Maven writes beside the folder, which appears whole or not at all. */
async function fetchInto(pomFile: string, folder: string): Promise<void> {
  if (isDownloaded(pomFile)) return
  const partial = `${folder}.${process.pid}.part`
  try {
    await runCommand('mvn', ['-q', '-B', '-f', pomFile, `-Dsitu.folder=${partial}`, 'package'], {
      timeoutMs: downloadMs,
    })
    renameSync(partial, folder)
  } catch (error) {
    if (!isDownloaded(pomFile)) throw error
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
}

function takeLock(lock: string): boolean {
  mkdirSync(join(lock, '..'), { recursive: true })
  try {
    writeFileSync(lock, `${process.pid}`, { flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  // A lock whose owner has died is removed; the next round takes it.
  if (!isAlive(readOwner(lock))) rmSync(lock, { force: true })
  return false
}

function readOwner(lock: string): number {
  try {
    // Between its creation and its text a lock is empty: its owner lives.
    return Number(readFileSync(lock, 'utf8') || process.pid)
  } catch {
    return process.pid
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
