import { SituError } from '../../schemas/errors.ts'
import type { Config } from '../config/config.ts'
import { clientOptions, configuredEndpoint } from '../models/index.ts'
import type { StageEmbedder } from './embedder.ts'
import { HashedNgrams } from './hashed-ngrams.ts'
import { OpenAiEmbedder } from './openai.ts'

/** Name of the built-in embedder in the configuration. */
const builtInEmbedder = 'hashed-ngrams'

/**
 * The embedder that is configured: the built-in one, or that of a named model.
 *
 * @throws {SituError} CONFIGURATION_INVALID for an unknown name, and for a model with a failover.
 */
export function createEmbedder(config: Config): StageEmbedder {
  const { embedder } = config.settings
  if (embedder === builtInEmbedder) return new HashedNgrams()
  const { contextTokens, failover } = configuredEndpoint({ endpoint: embedder }, config) ?? {}
  if (failover !== undefined) {
    const rule = 'an embedder has none, since the vectors of two models can not be compared'
    throw new SituError('CONFIGURATION_INVALID', `models.${embedder}.failover ${failover}: ${rule}`)
  }
  return new OpenAiEmbedder({ ...clientOptions(embedder, config), contextTokens })
}
