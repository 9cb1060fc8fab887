import type { Model, ModelReply } from '../../operators/model.ts'
import { SituError } from '../../schemas/errors.ts'
import type { Clock } from '../clock.ts'
import { type Config, spendingConnection } from '../config/config.ts'
import { budgetLimits } from '../config/spending-settings.ts'
import type { Logger } from '../log.ts'
import { configuredEndpoint, standInsOf } from '../models/index.ts'
import { StandIn } from '../models/stand-in.ts'
import type { StageBinding } from '../task/stage-binding.ts'
import { Budget } from './budget.ts'
import { type Caller, directCaller } from './caller.ts'
import { Endpoints, type EndpointWaiting } from './endpoints.ts'
import { MeteredCaller, tokensOf } from './metered-caller.ts'
import { openSpendingStore } from './open-store.ts'
import { costOf } from './price.ts'
import { ReplyCache } from './reply-cache.ts'
import type { SpendingStore } from './store.ts'

interface Ports {
  config: Config
  clock: Clock
  log: Logger
}

/** The layers that the model calls of a process go through, put together: docs/decisions tells why in this order. */
export class ModelCalls {
  readonly #store: SpendingStore
  readonly #budget: Budget
  readonly #endpoints: Endpoints
  readonly #cache: ReplyCache
  readonly #standIn: Caller

  private constructor(store: SpendingStore, budget: Budget, bindings: readonly StageBinding[], ports: Ports) {
    const { config, clock, log } = ports
    this.#store = store
    this.#budget = budget
    const usdOf = (model: Model, { usage }: ModelReply) =>
      costOf(configuredEndpoint(model, config)?.price ?? null, usage)
    this.#endpoints = new Endpoints({
      store,
      clock,
      log,
      admit: () => budget.admit(),
      costOf: usdOf,
      onProbe: (model, reply) => budget.settle(tokensOf({ model, messages: [] }, reply), usdOf(model, reply) ?? 0),
      limitsOf: model => configuredEndpoint(model, config) ?? {},
      standInsOf: model => standInsOf(model, config),
    })
    const off = bindings.filter(({ stage }) => config.operators[stage.name]?.cache === false)
    this.#cache = new ReplyCache({
      next: new MeteredCaller(this.#endpoints, budget),
      store,
      clock,
      off: new Set(off.map(({ stage }) => stage.name)),
    })
    this.#standIn = new MeteredCaller(admitted(budget), budget)
  }

  /**
   * @returns Null where nothing is to be kept or counted: no stage has a model but the stand-in, and no limit is set.
   * @throws {SituError} CONFIGURATION_INVALID; what the store throws.
   */
  static async open(bindings: readonly StageBinding[], ports: Ports): Promise<ModelCalls | null> {
    const { config, clock, log } = ports
    const models = bindings.flatMap(({ model, ports }) => [model ?? [], ports.embedder?.model ?? []].flat())
    const limits = budgetLimits(config.settings)
    const isLimited = [limits.run, limits.day].some(period => Object.keys(period).length > 0)
    if (models.length === 0 || (!isLimited && models.every(isFree))) return null
    if (limits.run.usd !== undefined || limits.day.usd !== undefined) checkPrices(models, config)
    const store = await openSpendingStore({ ...spendingConnection(config), log })
    try {
      return new ModelCalls(store, await Budget.open(store, limits, clock), bindings, ports)
    } catch (error) {
      await store.close()
      throw error
    }
  }

  /** What calls go through. */
  readonly caller: Caller = {
    call: call => (isFree(call.model) ? this.#standIn : this.#cache).call(call),
    reject: keys => this.#cache.reject(keys),
  }

  /** Aborted where a limit is reached, with BUDGET_SPENT as the reason. */
  get spent(): AbortSignal {
    return this.#budget.spent
  }

  /** What calls wait for now. */
  get waiting(): EndpointWaiting[] {
    return this.#endpoints.waiting
  }

  /** Lets calls that nobody waits for any more end within the time, so that their replies are kept. */
  async close(waitMs: number): Promise<void> {
    try {
      await within(waitMs, this.#cache.settled())
      await this.#cache.close()
      await this.#budget.close()
    } finally {
      await this.#store.close()
    }
  }
}

/** The stand-in costs nothing: its replies are made again rather than kept. */
function isFree(model: Model): boolean {
  return model instanceof StandIn
}

function admitted(budget: Budget): Caller {
  return {
    async call(call) {
      await budget.admit()
      return { ...(await directCaller.call(call)), costUsd: 0 }
    },
  }
}

/** @throws {SituError} CONFIGURATION_INVALID: a limit on money says nothing where a price is not known. */
function checkPrices(models: readonly Model[], config: Config): void {
  for (const model of models.filter(model => !isFree(model))) {
    for (const { endpoint, model: name } of [model, ...standInsOf(model, config)]) {
      if (configuredEndpoint({ endpoint }, config)?.price) continue
      const way = `give models.${endpoint}.price (input: 0, output: 0 where it is free), or limit tokens or calls`
      throw new SituError('CONFIGURATION_INVALID', `--max-usd: the price of model ${name} is not known: ${way}`)
    }
  }
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  try {
    await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
  }
}
