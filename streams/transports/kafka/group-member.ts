import type { Claim, Membership, TaskSpec } from '../transport.ts'
import { typeOf } from './broker-error.ts'
import type { Brokers } from './brokers.ts'
import type { KafkaClaim } from './claim.ts'
import { takeOut } from './group-exit.ts'
import { assignMembers, describeMember, partitionsOf, protocolName, readAssignment } from './group-protocol.ts'
import type { GroupRoll } from './group-roll.ts'
import type { KafkaMetrics } from './metrics.ts'
import { atMost, brokerNames, type Settings, wait } from './options.ts'

/** Tasks that are taken over at once. */
const takenAtOnce = 16
/** Longest that the end of a membership waits for commits and brokers. */
const leaveMs = 3000
/** The same for an answer to a request to join, once the group was told that nobody waits for it. */
const hangUpMs = 500

export interface GroupMemberPorts {
  /** With connections that nobody else uses: a broker holds the request to join until all have come. */
  brokers: Brokers
  /** With other connections. */
  asking: Brokers
  /** Ends the first ones, whatever is still to come over them. */
  hangUp: () => void
  /** With which the client id of the first ones ends: of this member alone. */
  workerId: string
  settings: Settings
  /** Of the workers of this machine; null where there is none. */
  roll: GroupRoll | null
  metrics: KafkaMetrics
  /** Fences the former owner. */
  takeOver: (task: TaskSpec, member: GroupMember, signal: AbortSignal) => Promise<KafkaClaim>
  assigned: (claim: Claim) => void
}

/**
 * A member of the group of workers: joins, keeps saying that it lives, and takes and loses tasks as the group assigns
 * them. A task that it keeps goes on while the group assigns anew.
 */
export class GroupMember implements Membership {
  readonly #ports: GroupMemberPorts
  readonly #groupId: string
  readonly #tasks: Map<string, TaskSpec>
  readonly #claims = new Map<string, KafkaClaim>()
  readonly #taking = new Map<string, Promise<void>>()
  readonly #leaving = new AbortController()
  #assigned: ReadonlySet<string> = new Set()
  #memberId = ''
  #generation = -1
  #mustJoin = true
  #wake = new AbortController()
  /** Those who want to know whether it still belongs to the group. */
  readonly #unconfirmed = new Set<() => void>()
  #running: Promise<void> = Promise.resolve()
  #left: Promise<void> | null = null

  constructor(tasks: readonly TaskSpec[], ports: GroupMemberPorts) {
    this.#ports = ports
    this.#groupId = brokerNames.workers(ports.settings.prefix)
    this.#tasks = new Map(tasks.map(task => [task.id, task]))
  }

  get held(): readonly TaskSpec[] {
    return [...this.#tasks.values()].filter(({ id }) => !this.#claims.has(id))
  }

  /** Resolves when the tasks of the first assignment are taken. */
  async start(): Promise<void> {
    try {
      await this.#ports.roll?.start()
      await this.#join()
      this.#running = this.#run()
      await Promise.all(this.#taking.values())
    } catch (error) {
      await this.leave()
      throw error
    }
  }

  /** Resolves when the group has answered, to a question after the call, that this member belongs to it. */
  async confirm(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const giveUp = () => resolve()
    signal.addEventListener('abort', giveUp, { once: true })
    this.#unconfirmed.add(resolve)
    if (!signal.aborted) await promise
    this.#unconfirmed.delete(resolve)
    signal.removeEventListener('abort', giveUp)
  }

  /** A claim has ended. @param isWanted - It was lost, and may come back; else it was released. */
  ended(claim: KafkaClaim, isWanted: boolean): void {
    const { id } = claim.task
    if (this.#claims.get(id) === claim) this.#claims.delete(id)
    if (!isWanted) this.#tasks.delete(id)
    if (this.#assigned.has(id)) this.#joinSoon()
  }

  leave(): Promise<void> {
    this.#left ??= this.#leave()
    return this.#left
  }

  async #leave(): Promise<void> {
    const { brokers, roll, hangUp } = this.#ports
    this.#leaving.abort()
    this.#wake.abort()
    await atMost(leaveMs, Promise.all([...this.#claims.values()].map(claim => claim.release())))
    // The group may wait for others while this one wants to join: only to be taken out ends that.
    await atMost(leaveMs, this.#sayGoodbye())
    const ended = Promise.all([this.#running, ...this.#taking.values()])
    await atMost(hangUpMs, ended)
    // A broker may owe the answer to a request to join of one that was taken out meanwhile.
    hangUp()
    await atMost(leaveMs, ended)
    // Its request to join may have come to the broker behind the goodbye.
    await atMost(leaveMs, this.#sayGoodbye())
    await roll?.leave()
    await brokers.close()
  }

  /** Where it fails the group finds out when the session ends. */
  #sayGoodbye(): Promise<unknown> {
    const { asking, settings, workerId } = this.#ports
    return takeOut(asking, settings.prefix, workerId, this.#leaving.signal)
  }

  async #run(): Promise<void> {
    const { settings } = this.#ports
    const { signal } = this.#leaving
    while (!signal.aborted) {
      try {
        if (!this.#mustJoin) await settings.pause(settings.heartbeatMs, AbortSignal.any([signal, this.#wake.signal]))
        if (signal.aborted) return
        if (this.#mustJoin) await this.#join()
        else await this.#heartbeat()
      } catch (error) {
        if (signal.aborted) return
        settings.log.warn({ error: String(error) }, `group ${this.#groupId}: joining anew after an error`)
        this.#forgotten()
        await wait(settings.heartbeatMs, signal)
      }
    }
  }

  async #heartbeat(): Promise<void> {
    const { brokers, metrics } = this.#ports
    const asking = [...this.#unconfirmed]
    const beat = { groupId: this.#groupId, groupGenerationId: this.#generation, memberId: this.#memberId }
    try {
      await this.#call('heartbeat', async () => (await brokers.coordinator('group', this.#groupId)).heartbeat(beat))
      metrics.lastHeartbeat = Date.now()
      for (const confirmed of asking) confirmed()
    } catch (error) {
      if (typeOf(error) === 'REBALANCE_IN_PROGRESS') this.#mustJoin = true
      else if (isForgotten(error)) this.#forgotten()
      else throw error
    }
  }

  async #join(): Promise<void> {
    while (!this.#leaving.signal.aborted) {
      this.#mustJoin = false
      this.#wake = new AbortController()
      this.#ports.settings.log.debug({ generation: this.#generation }, 'joining the group')
      const asking = [...this.#unconfirmed]
      try {
        const assigned = await this.#joinAndSync()
        this.#ports.metrics.rebalances++
        this.#ports.settings.log.debug({ generation: this.#generation, tasks: assigned.length }, 'tasks assigned')
        this.#apply(assigned)
        for (const confirmed of asking) confirmed()
        return
      } catch (error) {
        if (isForgotten(error)) this.#forgotten()
        else if (typeOf(error) !== 'REBALANCE_IN_PROGRESS') throw error
      }
    }
  }

  async #joinAndSync(): Promise<string[]> {
    const { brokers, settings } = this.#ports
    const groupId = this.#groupId
    const tasks = [...this.#tasks.values()]
    const topics = [...new Set(tasks.flatMap(task => task.topics))].map(topic => brokers.wireName(topic))
    const owned = new Map([...this.#claims].map(([id, { epoch }]) => [id, epoch]))
    const joined = await this.#call('joining', async () =>
      (await brokers.coordinator('group', groupId)).joinGroup({
        groupId,
        memberId: this.#memberId,
        sessionTimeout: settings.sessionTimeoutMs,
        rebalanceTimeout: settings.rebalanceTimeoutMs,
        groupProtocols: [{ name: protocolName, metadata: describeMember(topics, tasks, owned) }],
      }),
    )
    this.#memberId = joined.memberId
    this.#generation = joined.generationId
    const isLeader = joined.leaderId === joined.memberId
    const groupAssignment = isLeader ? assignMembers(joined.members, ids => this.#partitionsOf(ids)) : []
    const { generationId, memberId } = joined
    const synced = await this.#call('assignment', async () =>
      (await brokers.coordinator('group', groupId)).syncGroup({ groupId, generationId, memberId, groupAssignment }),
    )
    return readAssignment(synced.memberAssignment)
  }

  /** For those who look at the group; tasks of other members that are not ours too stay out. */
  #partitionsOf(ids: readonly string[]): Record<string, number[]> {
    const known = ids.flatMap(id => this.#tasks.get(id) ?? [])
    return partitionsOf(known, topic => this.#ports.brokers.wireName(topic))
  }

  #apply(ids: readonly string[]): void {
    this.#assigned = new Set(ids)
    for (const [id, claim] of [...this.#claims]) if (!this.#assigned.has(id)) claim.lose()
    const free = ids.filter(id => this.#tasks.has(id) && !this.#claims.has(id) && !this.#taking.has(id))
    const queue = [...free]
    const workers = Array.from({ length: Math.min(takenAtOnce, queue.length) }, async () => {
      for (let id = queue.shift(); id !== undefined; id = queue.shift()) await this.#take(id)
    })
    const all = Promise.all(workers).then(() => {})
    for (const id of free) this.#taking.set(id, all)
    const done = () => {
      for (const id of free) if (this.#taking.get(id) === all) this.#taking.delete(id)
    }
    all.then(done, error => {
      done()
      void this.#takeAgain(error)
    })
  }

  async #takeAgain(error: unknown): Promise<void> {
    const { settings } = this.#ports
    const { signal } = this.#leaving
    if (!signal.aborted)
      settings.log.warn({ error: String(error) }, `group ${this.#groupId}: a task could not be taken`)
    await wait(settings.heartbeatMs, signal)
    this.#joinSoon()
  }

  async #take(id: string): Promise<void> {
    const task = this.#tasks.get(id)
    const { signal } = this.#leaving
    if (!task || signal.aborted || !this.#assigned.has(id)) return
    const claim = await this.#ports.takeOver(task, this, signal)
    // Given to another while its former owner was being fenced.
    if (signal.aborted || !this.#assigned.has(id)) return claim.lose()
    this.#claims.set(id, claim)
    this.#ports.assigned(claim)
  }

  /** The group does not know this member any more: others may have its tasks. */
  #forgotten(): void {
    this.#ports.metrics.restarts++
    this.#memberId = ''
    this.#generation = -1
    this.#assigned = new Set()
    for (const claim of [...this.#claims.values()]) claim.lose()
    this.#mustJoin = true
  }

  #joinSoon(): void {
    this.#mustJoin = true
    this.#wake.abort()
  }

  #call<T>(what: string, work: () => Promise<T>): Promise<T> {
    return this.#ports.brokers.call(`group ${this.#groupId}: ${what}`, work, { signal: this.#leaving.signal })
  }
}

function isForgotten(error: unknown): boolean {
  return ['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION'].includes(typeOf(error) ?? '')
}
