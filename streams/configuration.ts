import { SituError } from '../schemas/errors.ts'
import type { Prompt as PromptRecord } from '../schemas/records.ts'
import type { Logger } from './log.ts'
import type { Pipeline } from './pipeline.ts'
import { textMessage } from './snapshots/demonstrations.ts'
import type { StageBinding } from './task/stage-binding.ts'

/**
 * Compares the configuration of each stage with the one that wrote its outputs.
 *
 * @throws {SituError} CONFIGURATION_CHANGED with both, and the ways out.
 */
export async function checkConfiguration(
  { transport, serde }: Pipeline,
  bindings: readonly StageBinding[],
  acceptChange: boolean,
  log: Logger,
): Promise<void> {
  if (acceptChange) return
  const differences: string[] = []
  for await (const { value, partition, offset } of transport.compacted('task')) {
    const task = await serde.decodeOwn('task', value)
    if (!task) {
      log.warn({ topic: 'task', partition, offset }, `task/${partition}/${offset} is no task record and is passed over`)
      continue
    }
    const { stage, variant, configuration, counters } = task
    const binding = bindings.find(binding => binding.stage.name === stage && binding.stage.variant === variant)
    if (!binding || !configuration || configuration === binding.configuration || counters.in === 0) continue
    const before = await readConfiguration({ transport, serde }, configuration)
    differences.push(...describeChange(stage, before, JSON.parse(binding.configurationText)))
  }
  if (differences.length === 0) return
  const message = [...new Set(differences)].join('\n')
  throw new SituError('CONFIGURATION_CHANGED', `this run differs from the one that wrote the topic:\n${message}`)
}

/** A configuration by its hash; empty where its text is gone. */
export async function readConfiguration(
  { transport, serde }: Pick<Pipeline, 'transport' | 'serde'>,
  hash: string,
): Promise<Record<string, unknown>> {
  const message = await transport.get('prompt', hash)
  return message ? JSON.parse((await serde.decode('prompt', message.value)).text) : {}
}

/** Keys whose values differ; one that is missing counts as null. */
export function differingKeys(
  before: Record<string, unknown>,
  now: Record<string, unknown>,
): { key: string; before: unknown; now: unknown }[] {
  return [...new Set([...Object.keys(before), ...Object.keys(now)])]
    .map(key => ({ key, before: before[key] ?? null, now: now[key] ?? null }))
    .filter(({ before, now }) => JSON.stringify(before) !== JSON.stringify(now))
}

/** A line for each key of a stage's configuration that differs. */
export function describeChange(stage: string, before: Record<string, unknown>, now: Record<string, unknown>): string[] {
  return differingKeys(before, now).map(
    ({ key, before, now }) => `${stage}: ${key} was ${JSON.stringify(before)}, is ${JSON.stringify(now)}`,
  )
}

/** Keeps the texts that provenance will name by hash, those that others name before them. */
export async function writeTexts(pipeline: Pipeline, bindings: readonly StageBinding[]): Promise<void> {
  const texts = new Map<string, PromptRecord>(bindings.flatMap(binding => binding.texts().map(text => [text.id, text])))
  // One after the other: together they could be more than a commit may hold.
  for (const text of texts.values()) await pipeline.transport.produce([textMessage(pipeline, text)])
}
