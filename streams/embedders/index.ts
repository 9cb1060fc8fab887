import type { Config } from '../config.ts'
import { clientOptions } from '../models/index.ts'
import type { StageEmbedder } from './embedder.ts'
import { HashedNgrams } from './hashed-ngrams.ts'
import { OpenAiEmbedder } from './openai.ts'

/** Name of the built-in embedder in the configuration. */
export const builtInEmbedder = 'hashed-ngrams'

/**
 * The embedder that is configured: the built-in one, or that of a named model.
 *
 * @throws {SituError} CONFIGURATION_INVALID for an unknown name.
 */
export function createEmbedder(config: Config): StageEmbedder {
  const { embedder } = config.settings
  return embedder === builtInEmbedder ? new HashedNgrams() : new OpenAiEmbedder(clientOptions(embedder, config))
}
