import { createTokenizer } from '../operators/gpt-tokenizer.ts'
import { messageOf, SituError } from '../schemas/errors.ts'
import type { Counters } from '../schemas/records.ts'
import { type Stage, tasksOf } from './chain/topology.ts'
import { checkConfiguration, writeTexts } from './configuration.ts'
import type { Logger } from './log.ts'
import type { Pipeline } from './pipeline.ts'
import { OpenSearches } from './searches/open-searches.ts'
import { type Caller, directCaller } from './spending/caller.ts'
import type { EndpointWaiting } from './spending/endpoints.ts'
import { type StageWork, type TaskActivity, WorkLedger } from './task/activity.ts'
import { DocumentsFirst } from './task/documents-first.ts'
import type { StageBinding } from './task/stage-binding.ts'
import { TaskLoop, type TaskLoopPorts } from './task/task-loop.ts'
import { addUp, sum } from './task/task-record.ts'
import type { Claim, Membership } from './transports/transport.ts'

const pollMs = 20
/** A record that is open this long is named in the log, once. */
const stuckMs = 60_000
/** Calls that wait for less are not told of. */
const waitingMs = 1_000

export interface RunOptions {
  bindings: readonly StageBinding[]
  concurrency: number
  /** Inputs for each operator; null for no limit. */
  limit: number | null
  /** Go on waiting for records where all is done. */
  follow: boolean
  ordered: boolean
  acceptChange: boolean
  acceptLoss: boolean
  drainMs: number
  retry: TaskLoopPorts['retry']
  /** What the model calls of a stage go through; left out, they are made as they are. */
  callerOf?: (binding: StageBinding) => Caller
  /** What model calls wait for now. */
  waiting?: () => readonly EndpointWaiting[]
  /** Aborted where a limit on spending is reached, with the error to end with: drain and end. */
  spent?: AbortSignal
  confirm?: TaskLoopPorts['confirm']
  /** Aborted by SIGINT or SIGTERM: drain and end. */
  stop: AbortSignal
}

export interface RunSummary {
  /** Since the beginning of the log, by stage. */
  counters: Record<string, Counters>
  /** Tasks that other workers hold. */
  held: string[]
}

/** Runs operators over a log: claims tasks, works them until all is done or until it is stopped, drains. */
export class Run {
  readonly #pipeline: Pipeline
  readonly #options: RunOptions
  readonly #log: Logger
  readonly #loops: TaskLoop[] = []
  readonly #left: Map<string, number>
  readonly #named = new Set<string>()
  readonly #ledger = new WorkLedger()
  readonly #searches: OpenSearches
  readonly #documentsFirst: DocumentsFirst
  #membership: Membership | null = null
  #error: unknown = null

  constructor(pipeline: Pipeline, options: RunOptions, log: Logger) {
    this.#pipeline = pipeline
    this.#options = options
    this.#log = log
    this.#searches = new OpenSearches(pipeline)
    const loopOf = (id: string) => this.#loops.find(loop => loop.id === id)
    this.#documentsFirst = new DocumentsFirst(pipeline, (id, topic) => loopOf(id)?.workedTo(topic) ?? null)
    this.#left = new Map(options.bindings.map(({ stage }) => [stage.name, options.limit ?? Number.POSITIVE_INFINITY]))
  }

  /** Committed and open counts of the stages that this run works, as of now. */
  get counters(): Record<string, Counters> {
    const byStage = Map.groupBy(this.#loops, loop => loop.binding.stage.name)
    // In the order of the chain, whatever order the tasks were taken in.
    return Object.fromEntries(
      this.stages.flatMap(({ name }) => (byStage.has(name) ? [[name, addUp(byStage.get(name) ?? [])]] : [])),
    )
  }

  /** What model calls wait for, and have waited for a while. */
  get waiting(): readonly EndpointWaiting[] {
    return this.#options.waiting?.().filter(({ sinceMs }) => sinceMs >= waitingMs) ?? []
  }

  /** What the tasks of this process do; null until it has joined the others. */
  get tasks(): readonly TaskActivity[] | null {
    return this.#membership && this.#loops.map(loop => loop.activity)
  }

  /** What this process has done by stage, tasks that it has lost included. */
  get done(): StageWork[] {
    return this.#ledger.sums(this.#loops.map(loop => loop.activity))
  }

  /** The stages that this run works, in the order of the chain. */
  get stages(): readonly Stage[] {
    return this.#options.bindings.map(({ stage }) => stage)
  }

  /** Messages that wait for each task of this process, by its id. */
  async lags(): Promise<Map<string, number>> {
    return new Map(await Promise.all(this.#loops.map(async loop => [loop.id, await loop.lag()] as const)))
  }

  /**
   * Works until all is done (or for ever, or until `stop`).
   *
   * @throws {SituError} The error that ended the run, after everything that was finished is committed.
   */
  async work(): Promise<RunSummary> {
    const { bindings, follow, stop, spent } = this.#options
    await checkConfiguration(this.#pipeline, bindings, this.#options.acceptChange, this.#log)
    await writeTexts(this.#pipeline, bindings)
    await this.#searches.open(bindings)
    await this.#documentsFirst.open(bindings)
    const tasks = bindings.flatMap(({ stage }) => tasksOf(stage, this.#pipeline.partitions))
    this.#membership = await this.#pipeline.transport.join(tasks, claim => this.#begin(claim))
    const held = this.#membership.held.map(({ id }) => id)
    if (held.length > 0) this.#log.warn({ tasks: held }, `held by another worker: ${held.join(', ')}`)
    const end = spent ? AbortSignal.any([stop, spent]) : stop
    // At once: between two looks of the loop below many calls could begin.
    const stopBeginning = () => {
      for (const loop of this.#loops) loop.stopBeginning()
      this.#log.debug({ seconds: this.#options.drainMs / 1000 }, 'draining')
    }
    end.addEventListener('abort', stopBeginning, { once: true })
    try {
      if (this.#loops.length > 0 || follow) await this.#untilDone(follow, end)
    } finally {
      end.removeEventListener('abort', stopBeginning)
      const ended = await Promise.allSettled(
        this.#loops.map(loop => loop.drain(this.#error ? 0 : this.#options.drainMs)),
      )
      await this.#membership.leave()
      await this.#searches.close()
      this.#error ??= ended.find(result => result.status === 'rejected')?.reason ?? null
    }
    this.#error ??= this.#loops.find(loop => loop.error)?.error
    if (spent?.aborted) this.#error ??= spent.reason
    if (this.#error) throw this.#error
    return { counters: this.counters, held }
  }

  #begin(claim: Claim): void {
    const binding = this.#options.bindings.find(({ stage }) => stage.name === claim.task.stage)
    if (!binding) return
    const { transport, serde, clock, partitions } = this.#pipeline
    const { bindings, concurrency, ordered, acceptChange, acceptLoss, retry, confirm, callerOf } = this.#options
    const loop = new TaskLoop({
      binding,
      transport,
      serde,
      clock,
      log: this.#log,
      claim,
      tokenizer: createTokenizer(),
      search: this.#searches.of(binding),
      partitions,
      concurrency,
      ordered,
      acceptChange,
      acceptLoss,
      retry,
      caller: callerOf?.(binding) ?? directCaller,
      rank: bindings.indexOf(binding),
      confirm,
      ready: this.#documentsFirst.of(binding),
      admit: () => this.#admit(binding.stage.name),
    })
    this.#loops.push(loop)
    this.#log.debug({ task: claim.task.id, epoch: claim.epoch }, 'task taken')
    loop.start()
  }

  #admit(stage: string): boolean {
    const left = this.#left.get(stage) ?? 0
    if (left <= 0) return false
    this.#left.set(stage, left - 1)
    return true
  }

  async #untilDone(follow: boolean, stop: AbortSignal): Promise<void> {
    const { clock } = this.#pipeline
    let idleRounds = 0
    while (!stop.aborted && idleRounds < 2) {
      await clock.sleep(pollMs, stop)
      if (this.#checkErrors()) return
      this.#watch()
      if (!follow) idleRounds = (await this.#isIdle()) ? idleRounds + 1 : 0
    }
  }

  /** A lost task is somebody else's now; any other error ends the run. @returns Whether it has ended. */
  #checkErrors(): boolean {
    for (const loop of [...this.#loops]) {
      const { error } = loop
      if (!error) continue
      if (error instanceof SituError && error.code === 'TASK_LOST') {
        this.#loops.splice(this.#loops.indexOf(loop), 1)
        this.#ledger.keep(loop.activity)
        loop.drain(0).catch(cause => this.#log.warn({ task: loop.id, error: messageOf(cause) }, 'release failed'))
      } else this.#error ??= error
    }
    return this.#error !== null
  }

  async #isIdle(): Promise<boolean> {
    for (const loop of this.#loops) if (!(await loop.isIdle())) return false
    for (const { id } of this.#membership?.held ?? []) if (!(await this.#isHeldTaskIdle(id))) return false
    return true
  }

  /** Another worker's task may still write inputs of ours. */
  async #isHeldTaskIdle(id: string): Promise<boolean> {
    const { transport, serde } = this.#pipeline
    const message = await transport.get('task', id)
    if (!message) return false
    const task = await serde.decodeOwn('task', message.value)
    if (!task) return true
    const { positions, partition, counters, stage } = task
    const own = this.#options.bindings.find(binding => binding.stage.name === stage)?.stage
    for (const { topic, next } of positions) {
      const { end } = await transport.bounds(topic, partition)
      const until = topic === own?.input ? own.until?.[partition] : undefined
      if (Math.min(end, until ?? end) > next) return false
    }
    return counters.inFlight === 0
  }

  #watch(): void {
    const causes = Map.groupBy(this.waiting, ({ endpoint }) => endpoint)
    for (const loop of this.#loops) {
      loop.keepUp()
      const { model } = loop.binding
      if (model) loop.tellWaiting(causes.get(model.endpoint)?.[0]?.cause ?? null)
      const { oldest } = loop
      const name = `${loop.id}/${oldest?.offset}`
      if (!oldest || oldest.ageMs < stuckMs || this.#named.has(name)) continue
      this.#named.add(name)
      const message = `${loop.id}: offset ${oldest.offset} has been open for ${Math.round(oldest.ageMs / 1000)} s`
      this.#log.warn({ task: loop.id, offset: oldest.offset }, message)
    }
  }
}

/** Dead letters that stand, over all stages. */
export function standingFailures(counters: Readonly<Record<string, Counters>>): number {
  return Object.values(counters).reduce((total, { failed }) => total + sum(failed), 0)
}
