import type { Model } from '../../operators/model.ts'
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import type { Call, Caller, CallResult } from './caller.ts'
import { Endpoint, type EndpointPorts } from './endpoint.ts'
import { Gate, type GatePorts, type Waiting } from './gate.ts'
import type { LimitsPerMinute } from './shared-limits.ts'
import type { RateStore } from './store.ts'

export interface EndpointsPorts extends Pick<GatePorts, 'admit' | 'costOf'>, Pick<EndpointPorts, 'onProbe'> {
  store: RateStore
  clock: Clock
  log: Logger
  /** Limits of a model as configured. */
  limitsOf?: (model: Model) => LimitsPerMinute
  /** Models that stand in for one whose endpoint is down, in this order. */
  standInsOf?: (model: Model) => readonly Model[]
}

/** Calls that wait for one model. */
export interface EndpointWaiting extends Waiting {
  endpoint: string
  model: string
}

/** The gates of a process: one for each model, made at its first call. */
export class Endpoints implements Caller {
  readonly #ports: EndpointsPorts
  readonly #endpoints = new Map<Model, Endpoint>()
  readonly #gates = new Map<Model, Gate>()

  constructor(ports: EndpointsPorts) {
    this.#ports = ports
  }

  call(call: Call): Promise<CallResult> {
    return this.#gateOf(call.model).call(call)
  }

  /** What calls wait for, as of now. */
  get waiting(): EndpointWaiting[] {
    return [...this.#gates].flatMap(([{ endpoint, model }, { waiting }]) =>
      waiting ? [{ endpoint, model, ...waiting }] : [],
    )
  }

  #gateOf(model: Model): Gate {
    const known = this.#gates.get(model)
    if (known) return known
    const others = this.#ports.standInsOf?.(model) ?? []
    const gate = new Gate({
      ...this.#ports,
      endpoints: [this.#endpointOf(model), ...others.map(other => this.#endpointOf(other))],
    })
    this.#gates.set(model, gate)
    return gate
  }

  /** One that stands in for another may have calls of its own: what is learnt of it is shared. */
  #endpointOf(model: Model): Endpoint {
    const { limitsOf, ...ports } = this.#ports
    const known = this.#endpoints.get(model)
    const endpoint = known ?? new Endpoint({ ...ports, model, limits: limitsOf?.(model) ?? {} })
    this.#endpoints.set(model, endpoint)
    return endpoint
  }
}
