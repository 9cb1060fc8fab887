import { SituError } from '../schemas/errors.ts'
import type { SchemaRegistry } from '../schemas/registry.ts'
import { Serde } from '../schemas/serde.ts'
import { type Clock, systemClock } from './clock.ts'
import type { Config } from './config.ts'
import { EmbeddedRegistry } from './registries/embedded.ts'
import { stages, topicNouns, topicSpecs } from './topology.ts'
import { openEmbedded } from './transports/embedded/index.ts'
import type { RetentionOptions } from './transports/embedded/retention.ts'
import type { Transport } from './transports/transport.ts'

/** An opened log with its registry: what every command works on. */
export interface Pipeline {
  readonly transport: Transport
  readonly registry: SchemaRegistry
  readonly serde: Serde
  readonly clock: Clock
  /** Partitions of the topics, as they were made. */
  readonly partitions: number
  /** Deletes old records, on backends that do not do so by themselves. */
  applyRetention?(options: RetentionOptions): Promise<number>
  close(): Promise<void>
}

/**
 * Opens the log that the configuration names.
 *
 * @param mode - `read` changes nothing; `change` writes to what is there; `write` makes what is missing too.
 * @throws {SituError} DATA_* , SCHEMA_INCOMPATIBLE
 */
export async function openPipeline(config: Config, mode: 'read' | 'change' | 'write'): Promise<Pipeline> {
  const transport = await openEmbedded(config.settings.data, { create: mode === 'write', readOnly: mode === 'read' })
  try {
    const registry = new EmbeddedRegistry(transport.database)
    const serde = new Serde(registry)
    if (mode !== 'read') {
      await transport.createTopics(topicSpecs(config.settings.partitions))
      await registerSchemas(serde)
    }
    const page = (await transport.topics()).find(topic => topic.name === 'page')
    const partitions = page?.partitions ?? config.settings.partitions
    if (config.settings.partitions !== 1 && config.settings.partitions !== partitions) {
      const given = `--partitions ${config.settings.partitions}`
      throw new SituError('CONFIGURATION_INVALID', `${given}: the topics of ${config.settings.data} have ${partitions}`)
    }
    return {
      transport,
      registry,
      serde,
      clock: systemClock,
      partitions,
      applyRetention: options => transport.applyRetention(options),
      close: () => transport.close(),
    }
  } catch (error) {
    await transport.close()
    throw error
  }
}

/** The subject of a topic's values. */
export function subjectOf(topic: string): string {
  return `${topic}-value`
}

async function registerSchemas(serde: Serde): Promise<void> {
  for (const noun of topicNouns) await serde.register(subjectOf(noun), noun)
  for (const { state } of stages) if (state) await serde.register(subjectOf(state), 'signature')
}
