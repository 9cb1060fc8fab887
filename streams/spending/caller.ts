import type { Model, ModelReply, ModelRequest } from '../../operators/model.ts'

/** A model call on its way through the layers. */
export interface Call extends ModelRequest {
  /** Model as configured for the operator: what is sent, and what the call is kept under. */
  model: Model
  /** Name of the stage. */
  operator: string
  /** Place of the stage in the chain: where calls wait for a turn, those of later stages go first. */
  rank: number
  /** Calls for the same record that have failed. */
  failures?: number
  /** Aborted where no new call may begin: a call that still waits for its turn is then refused. */
  draining: AbortSignal
  /** Told when the call begins to wait for its endpoint (rate, outage), and when it no longer does. */
  onWait?: (isWaiting: boolean) => void
}

export interface CallResult {
  reply: ModelReply
  /** Served from the cache of paid replies: nothing was paid now. */
  isFromCache: boolean
  /** What the reply cost when it was paid, in US dollars; null where no price or no usage is known. */
  costUsd: number | null
  /** From the request to the whole reply when it was paid. */
  latencyMs: number
  /** Name of the endpoint that answered: the model's own, or the one that stepped in for it. */
  endpoint: string
  /** What the reply is kept under, for `reject`; null where it is not kept. */
  key: string | null
}

/** A layer around model calls, or the calls themselves. docs/decisions tells in which order the layers stand. */
export interface Caller {
  /**
   * Makes one call. Never retries.
   *
   * @throws {SituError} As `Model.complete`.
   * @throws {CallRefused} No new call may begin.
   */
  call(call: Call): Promise<CallResult>
  /** Keeps replies from ever being served again, where a layer serves kept ones. */
  reject?(keys: readonly string[]): Promise<void>
}

/** Thrown where a call may not begin: the record stays uncommitted, and the next run takes it again. */
export class CallRefused extends Error {}

/** The calls themselves, without any layer. */
export const directCaller: Caller = {
  async call(call) {
    if (call.draining.aborted) throw new CallRefused()
    const begun = performance.now()
    const reply = await call.model.complete(call)
    const latencyMs = performance.now() - begun
    return { reply, isFromCache: false, costUsd: null, latencyMs, endpoint: call.model.endpoint, key: null }
  },
}
