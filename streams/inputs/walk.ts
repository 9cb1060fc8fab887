import type { BigIntStats } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import picomatch from 'picomatch'
import { messageOf, SituError } from '../../schemas/errors.ts'

export interface Globs {
  include: readonly string[]
  exclude: readonly string[]
}

/** A file to read, `-` for stdin, or what can't be read. */
export type Entry = { kind: 'file'; path: string } | { kind: 'unreadable'; path: string; error: SituError }

/**
 * Walks the paths in the order given, and folders in the order of the names in them (by code unit), so that two walks
 * of the same folder are the same. Only the names of the folders on the way are in memory.
 *
 * - A glob is matched against the path relative to the folder given; one without a slash against the file name. What
 *   --exclude matches is left out even where --include matches it; an excluded folder is not entered.
 * - Hidden files and folders (a name that begins with a dot) below a folder are left out, unless an --include glob
 *   spells the dot.
 * - Links are followed; a folder is entered once for each path given, so links that lead back end. Sockets, pipes and
 *   devices below a folder are left out.
 *
 * @throws {SituError} USAGE for a glob that is none.
 */
export async function* walk(paths: readonly string[], globs: Globs, signal: AbortSignal): AsyncGenerator<Entry> {
  const filter = new Filter(globs)
  for (const path of paths) {
    if (signal.aborted) return
    if (path === '-') yield { kind: 'file', path }
    else yield* walkPath(path, filter, signal)
  }
}

async function* walkPath(path: string, filter: Filter, signal: AbortSignal): AsyncGenerator<Entry> {
  const stats = await inspect(path)
  if (stats instanceof SituError) yield { kind: 'unreadable', path, error: stats }
  else if (stats.isDirectory()) yield* walkFolder(path, stats, filter, signal)
  else if (filter.takesFile(basename(path), true)) yield { kind: 'file', path }
}

interface Level {
  /** As given, with the way down. */
  path: string
  /** Relative to the folder given, with a slash at the end; empty for the folder itself. */
  relative: string
  names: readonly string[]
  next: number
}

async function* walkFolder(
  root: string,
  rootStats: BigIntStats,
  filter: Filter,
  signal: AbortSignal,
): AsyncGenerator<Entry> {
  const entered = new Set([identity(rootStats)])
  const levels: Level[] = []
  const enter = async (path: string, relative: string): Promise<Entry | null> => {
    try {
      levels.push({ path, relative, names: (await readdir(path)).sort(), next: 0 })
      return null
    } catch (cause) {
      return { kind: 'unreadable', path, error: unreadable(path, cause) }
    }
  }
  const failure = await enter(root, '')
  if (failure) yield failure
  for (let level = levels.at(-1); level && !signal.aborted; level = levels.at(-1)) {
    const name = level.names[level.next++]
    if (name === undefined) {
      levels.pop()
      continue
    }
    const relative = level.relative + name
    if (filter.leavesOut(relative)) continue
    const path = join(level.path, name)
    const stats = await inspect(path)
    if (stats instanceof SituError) {
      if (filter.takesFile(relative, false)) yield { kind: 'unreadable', path, error: stats }
    } else if (stats.isDirectory()) {
      if (entered.has(identity(stats)) || !filter.entersFolder(name)) continue
      entered.add(identity(stats))
      const problem = await enter(path, `${relative}/`)
      if (problem) yield problem
    } else if (stats.isFile() && filter.takesFile(relative, false)) {
      yield { kind: 'file', path }
    }
  }
}

class Filter {
  readonly #include: readonly Matcher[]
  readonly #exclude: readonly Matcher[]
  readonly #entersHidden: boolean

  constructor({ include, exclude }: Globs) {
    this.#include = include.map(glob => new Matcher('--include', glob, false))
    this.#exclude = exclude.map(glob => new Matcher('--exclude', glob, true))
    this.#entersHidden = include.some(glob => /(?:^|[/{,(|])\.[^/.]/.test(glob))
  }

  leavesOut(relative: string): boolean {
    return this.#exclude.some(glob => glob.matches(relative))
  }

  entersFolder(name: string): boolean {
    return !name.startsWith('.') || this.#entersHidden
  }

  /** @param given - Whether the path was given as such: it is then taken though it be hidden. */
  takesFile(relative: string, given: boolean): boolean {
    if (this.leavesOut(relative)) return false
    if (this.#include.length > 0) return this.#include.some(glob => glob.matches(relative))
    return given || !/(?:^|\/)\./.test(relative)
  }
}

class Matcher {
  readonly #matches: (path: string) => boolean
  readonly #byName: boolean
  readonly #hidden: boolean

  constructor(option: string, glob: string, hidden: boolean) {
    this.#byName = !glob.includes('/')
    this.#hidden = hidden
    try {
      this.#matches = picomatch(glob, { dot: hidden })
    } catch (cause) {
      throw new SituError('USAGE', `${option}: ${glob.slice(0, 80)} is no glob: ${messageOf(cause)}`, { cause })
    }
  }

  matches(relative: string): boolean {
    if (!this.#byName) return this.#matches(relative)
    const slash = relative.lastIndexOf('/')
    if (!this.#hidden && /(?:^|\/)\./.test(relative.slice(0, slash + 1))) return false
    return this.#matches(relative.slice(slash + 1))
  }
}

/** 64-bit inode numbers do not fit a double. */
async function inspect(path: string): Promise<BigIntStats | SituError> {
  try {
    return await stat(path, { bigint: true })
  } catch (cause) {
    return unreadable(path, cause)
  }
}

function identity(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}`
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  EACCES: 'no right to read it',
  EPERM: 'no right to read it',
  ENOTDIR: 'a part of the path is no folder',
  ELOOP: 'the links lead in a circle',
  ENAMETOOLONG: 'the name is too long',
  EIO: 'the disk failed',
}

export function unreadable(path: string, cause: unknown): SituError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  return new SituError('INPUT_UNREADABLE', `${path}: ${reasons[code] ?? messageOf(cause)}`, { cause })
}
