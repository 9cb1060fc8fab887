import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { messageOf } from '../../../schemas/errors.ts'
import { LeaseFile } from '../../sqlite/lease-file.ts'
import type { Brokers } from './brokers.ts'
import { takeOut } from './group-exit.ts'
import { type Settings, wait } from './options.ts'

const ending = '.lock'

/**
 * Tells a group at once of workers that have died on this machine: a broker finds out only when their sessions end, and
 * lets the others wait for them meanwhile, where they want to join anew.
 *
 * Each worker has a file in a folder, with a lock on it that the system frees at its death. Its name is in the client id
 * of its member, by which the members of a dead one are found. Each watches the one whose name is next; who comes looks
 * at all of them. A folder that can't be used is told, and then the group waits for the end of sessions.
 */
export class GroupRoll {
  readonly #folder: string
  readonly #name: string
  readonly #brokers: Brokers
  readonly #settings: Settings
  readonly #leaving = new AbortController()
  #lease: LeaseFile | null = null
  #watching: Promise<void> = Promise.resolve()
  #warned: string | null = null

  /**
   * @param folder - Where the workers of this machine have their files; it is made where it is missing.
   * @param workerId - With which the client id of its member ends.
   */
  constructor(folder: string, workerId: string, brokers: Brokers, settings: Settings) {
    this.#folder = folder
    this.#name = `${settings.prefix}~${encodeURIComponent(hostname())}~${workerId}`
    this.#brokers = brokers
    this.#settings = settings
  }

  /** Signs, and strikes out all that have died; from now on watches. */
  async start(): Promise<void> {
    try {
      mkdirSync(this.#folder, { recursive: true })
      this.#lease = LeaseFile.tryTake(this.#path(this.#name))
      for (const name of this.#others()) await this.#strikeIfDead(name)
    } catch (error) {
      this.#warn(error)
    }
    this.#watching = this.#watch()
  }

  /** To be called when the group has been told. */
  async leave(): Promise<void> {
    this.#leaving.abort()
    await this.#watching
    if (!this.#lease) return
    rmSync(this.#path(this.#name), { force: true })
    this.#lease.release()
    this.#lease = null
  }

  async #watch(): Promise<void> {
    const { signal } = this.#leaving
    while (!signal.aborted) {
      await wait(this.#settings.heartbeatMs, signal)
      try {
        while (!signal.aborted && (await this.#strikeNext()));
      } catch (error) {
        if (signal.aborted) return
        this.#warn(error)
      }
    }
  }

  async #strikeNext(): Promise<boolean> {
    const others = this.#others()
    const next = others.find(name => name > this.#name) ?? others[0]
    return next !== undefined && this.#strikeIfDead(next)
  }

  /** The lock is held meanwhile, so that one does it. */
  async #strikeIfDead(name: string): Promise<boolean> {
    const lease = LeaseFile.tryTake(this.#path(name))
    if (!lease) return false
    try {
      const { prefix } = this.#settings
      const count = await takeOut(this.#brokers, prefix, idIn(name), this.#leaving.signal)
      if (count > 0)
        this.#settings.log.warn({ worker: name }, 'a worker of this machine has died: its tasks go to others')
      rmSync(this.#path(name), { force: true })
      return true
    } finally {
      lease.release()
    }
  }

  /** Other workers of the group on this machine, dead or alive, in order. */
  #others(): string[] {
    const own = this.#name.slice(0, this.#name.lastIndexOf('~') + 1)
    return readdirSync(this.#folder)
      .filter(file => file.startsWith(own) && file.endsWith(ending))
      .map(file => file.slice(0, -ending.length))
      .filter(name => name !== this.#name)
      .sort()
  }

  #path(name: string): string {
    return join(this.#folder, `${name}${ending}`)
  }

  /** Once: it looks twice a second. */
  #warn(error: unknown): void {
    const message = messageOf(error)
    if (message === this.#warned) return
    this.#warned = message
    const rule = 'workers that die on this machine are found when their sessions end'
    this.#settings.log.warn({ error: message }, `${this.#folder}: ${rule}`)
  }
}

function idIn(name: string): string {
  return name.slice(name.lastIndexOf('~') + 1)
}
