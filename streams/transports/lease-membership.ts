import { SituError } from '../../schemas/errors.ts'
import type { TaskClaim } from './task-claim.ts'
import type { Claim, Membership, TaskSpec } from './transport.ts'

export interface LeaseMembershipOptions {
  tasks: readonly TaskSpec[]
  /** Null where another worker holds the task. */
  take: (task: TaskSpec) => Promise<TaskClaim | null>
  /** Resolves when it is time for another try, or when it is aborted. */
  pause: (signal: AbortSignal) => Promise<void>
  assigned: (claim: Claim) => void
}

/** Takes the tasks that are free, and tries for the others, and for those that it lost, until it leaves. */
export class LeaseMembership implements Membership {
  readonly #options: LeaseMembershipOptions
  readonly #claims = new Map<string, TaskClaim>()
  readonly #left = new AbortController()
  readonly #held = new Set<TaskSpec>()
  #trying: Promise<void> = Promise.resolve()

  constructor(options: LeaseMembershipOptions) {
    this.#options = options
  }

  get held(): readonly TaskSpec[] {
    return this.#options.tasks.filter(task => this.#held.has(task))
  }

  async start(): Promise<void> {
    try {
      await this.#tryAll()
    } catch (error) {
      await this.leave()
      throw error
    }
    this.#trying = this.#keepTrying()
  }

  /** A lease is nobody else's before it is released. */
  async confirm(): Promise<void> {}

  async leave(): Promise<void> {
    this.#left.abort()
    await this.#trying
    for (const claim of this.#claims.values()) await claim.release()
  }

  async #keepTrying(): Promise<void> {
    while (!this.#left.signal.aborted) {
      await this.#options.pause(this.#left.signal)
      try {
        await this.#tryAll()
      } catch (error) {
        if (!(error instanceof SituError)) throw error
        if (error.code === 'TRANSPORT_CLOSED') return
        // A task that can't be taken now (a full disk, a busy file) stays among the held: the next round tries again.
      }
    }
  }

  async #tryAll(): Promise<void> {
    for (const task of this.#options.tasks) {
      if (this.#left.signal.aborted) return
      if (!this.#wants(task)) continue
      this.#held.add(task)
      const claim = await this.#options.take(task)
      if (claim) await this.#assign(task, claim)
    }
  }

  /** A task that its own worker released is not wanted again; one that was lost is. */
  #wants(task: TaskSpec): boolean {
    const claim = this.#claims.get(task.id)
    if (!claim) return true
    if (!claim.ended) {
      try {
        claim.checkEpoch()
      } catch {
        // Ends the claim, so that its reader stops before the next commit finds out.
      }
    }
    return claim.lost.aborted
  }

  async #assign(task: TaskSpec, claim: TaskClaim): Promise<void> {
    if (this.#left.signal.aborted) return claim.release()
    this.#held.delete(task)
    this.#claims.set(task.id, claim)
    this.#options.assigned(claim)
  }
}
