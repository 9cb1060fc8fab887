import type { Model, Parameters } from '../../operators/model.ts'
import { SituError } from '../../schemas/errors.ts'
import type { Config, Endpoint } from '../config/config.ts'
import { closestName } from '../terminal/closest-name.ts'
import { ModerationModel } from './moderation.ts'
import type { ClientOptions } from './openai/client.ts'
import { OpenAiModel } from './openai.ts'
import { StandIn } from './stand-in.ts'

/** Tokens kept free for a reply whose limit is not configured. */
const defaultReplyTokens = 2_048

/** Gives each operator its model; one adapter for each name, so that what is learnt of an endpoint is shared. */
export type ModelChooser = (operator: string, own: string | undefined) => Model

/**
 * @returns A function that throws CONFIGURATION_INVALID for an operator without a model, naming the stand-in, and for
 * an unknown name.
 */
export function createModels(config: Config): ModelChooser {
  const models = new Map<string, Model>()
  return (operator, own) => {
    const name = own ?? config.settings.model
    if (name === undefined) {
      const ways =
        'name one with --model, SITU_MODEL or in the configuration; --model stand-in needs no endpoint and no key'
      throw new SituError('CONFIGURATION_INVALID', `${operator} needs a model and none is configured: ${ways}`)
    }
    const model = models.get(name) ?? createModel(name, config)
    models.set(name, model)
    return model
  }
}

/** What the configuration says of the endpoint of a model; null for one that is named by the environment alone. */
export function configuredEndpoint({ endpoint }: Pick<Model, 'endpoint'>, { models }: Config): Endpoint | null {
  return Object.hasOwn(models, endpoint) ? (models[endpoint] ?? null) : null
}

const standIns = new WeakMap<Model, readonly Model[]>()

/** The models that step in for one while its endpoint is down, in this order. */
export function standInsOf(model: Model, config: Config): readonly Model[] {
  const known = standIns.get(model)
  if (known) return known
  const made: Model[] = []
  const names = new Set([model.endpoint])
  for (let name = configuredEndpoint(model, config)?.failover; name !== undefined && !names.has(name); ) {
    names.add(name)
    made.push(createModel(name, config))
    name = config.models[name]?.failover
  }
  standIns.set(model, made)
  return made
}

function createModel(name: string, config: Config): Model {
  const { settings } = config
  if (name === 'stand-in') return new StandIn({ latencyMs: settings.standInLatencyMs })
  const { kind, contextTokens, structuredOutput } = endpointOf(name, config)
  const options = { ...clientOptions(name, config), contextTokens }
  if (kind === 'moderation') return new ModerationModel(options)
  return new OpenAiModel({ ...options, kind, structuredOutput, replyTokens: replyTokens(options.parameters) })
}

function endpointOf(name: string, config: Config): Endpoint {
  return configuredEndpoint({ endpoint: name }, config) ?? environmentEndpoint(name, config)
}

/**
 * How the endpoint of a named model is called.
 *
 * @throws {SituError} CONFIGURATION_INVALID for an unknown name, or a provider without a key.
 */
export function clientOptions(name: string, config: Config): ClientOptions {
  const endpoint = endpointOf(name, config)
  return {
    endpoint: Object.hasOwn(config.models, name) ? name : 'environment',
    apiKey: readKey(name, endpoint, config),
    baseUrl: endpoint.baseUrl ?? null,
    model: endpoint.model,
    parameters: endpoint.parameters,
    timeoutMs: config.settings.modelTimeoutSeconds * 1000,
  }
}

/** OPENAI_API_KEY or OPENAI_BASE_URL make an endpoint of which any model can be named. */
function environmentEndpoint(name: string, { environment, models }: Config): Endpoint {
  if (!environment.OPENAI_API_KEY && !environment.OPENAI_BASE_URL) {
    const known = ['stand-in', ...Object.keys(models)]
    const way = 'set OPENAI_BASE_URL or OPENAI_API_KEY to name a model of an endpoint'
    throw new SituError('CONFIGURATION_INVALID', `unknown model ${name}${closestName(name, known)}; ${way}`)
  }
  return {
    baseUrl: environment.OPENAI_BASE_URL || undefined,
    apiKeyVariable: 'OPENAI_API_KEY',
    model: name,
    kind: 'chat',
    parameters: {},
    contextTokens: 32_768,
    structuredOutput: 'json_schema',
  }
}

/** Servers on one's own machine need no key; the provider's own address does. */
function readKey(name: string, { apiKeyVariable, baseUrl }: Endpoint, { environment }: Config): string {
  const key = environment[apiKeyVariable]
  if (key) return key
  if (baseUrl) return 'none'
  throw new SituError('CONFIGURATION_INVALID', `model ${name}: the variable ${apiKeyVariable} holds no key`)
}

function replyTokens(parameters: Parameters): number {
  const limit = parameters.max_completion_tokens ?? parameters.max_tokens
  return typeof limit === 'number' && limit > 0 ? limit : defaultReplyTokens
}
