/** People's instructions in families of those that say the same, and the stages that keep one of each. */
import { expect } from 'vitest'
import type { Noun, Records } from '../../schemas/records.ts'
import { bindStages } from '../../streams/bind.ts'
import { chooseStages, extendMainLine, wantedOperators } from '../../streams/chain/main-line.ts'
import { partitionOf } from '../../streams/chain/topology.ts'
import { systemClock } from '../../streams/clock.ts'
import type { Config } from '../../streams/config/config.ts'
import { ingestRecords } from '../../streams/ingest/ingest-records.ts'
import { readStatus } from '../../streams/inspect/status.ts'
import { verify } from '../../streams/inspect/verify.ts'
import type { Pipeline } from '../../streams/pipeline.ts'
import { Run, type RunOptions } from '../../streams/run.ts'
import { ModelCalls } from '../../streams/spending/model-calls.ts'
import { randomFrom, words } from '../operators/dedup/planted-texts.ts'
import { defaults, silent } from './pipeline.ts'

export const meaningStages = ['dedupe-real', 'embed-real', 'dedupe-meaning'] as const

/** The same words three times, in orders that have no run of three words in common. */
export function family(number: number): [string, string, string] {
  const own = words(randomFrom(number), 14)
  const [even, odd] = [0, 1].map(rest => own.filter((_, at) => at % 2 === rest))
  const text = (all: readonly string[] = []) => `Explain ${all.join(' ')}.`
  return [text(own), text([...own].reverse().concat('also')), text([...(odd ?? []), 'thus', ...(even ?? [])])]
}

export const families = [1, 2, 3, 4, 5, 6]

export async function writeRealInstructions(pipeline: Pipeline, texts: readonly string[]): Promise<void> {
  const { transport, serde, partitions } = pipeline
  await transport.produce(
    texts.map(content => {
      const item = { kind: 'item', content, format: 'text', url: null, title: null, place: null, source: 'x' } as const
      const record = ingestRecords['real-instruction'](item)
      const partition = partitionOf('real-instruction', record, partitions)
      return { topic: 'real-instruction', partition, key: record.id, ...serde.encode('real-instruction', record) }
    }),
  )
}

export async function readAllOf<N extends Noun>(
  { transport, serde, partitions }: Pipeline,
  noun: N,
  topic: string = noun,
) {
  const found: { partition: number; record: Records[N] }[] = []
  for (let partition = 0; partition < partitions; partition++) {
    for await (const { messages } of transport.read(topic, partition, 0)) {
      for (const { value } of messages) found.push({ partition, record: await serde.decode(noun, value) })
    }
  }
  return found
}

export const meaningDrops = async (pipeline: Pipeline) =>
  (await readAllOf(pipeline, 'dropped'))
    .map(({ record }) => record)
    .filter(({ operator }) => operator === 'dedupe-meaning')

interface Work {
  only?: readonly string[]
  options?: Partial<RunOptions>
}

/** Works these stages, or some of them; all sums must hold. @returns The counts by operator. */
export async function workMeaning(
  pipeline: Pipeline,
  config: Config,
  { only = meaningStages, options = {} }: Work = {},
) {
  const line = await extendMainLine(pipeline, config, wantedOperators(meaningStages, config))
  const bindings = bindStages(chooseStages(line, only), config)
  const calls = await ModelCalls.open(bindings, { config, clock: systemClock, log: silent })
  try {
    await new Run(
      pipeline,
      { ...defaults, bindings, ...(calls && { callerOf: () => calls.caller }), ...options },
      silent,
    ).work()
  } finally {
    await calls?.close(0)
  }
  return soundOperators(pipeline)
}

export async function soundOperators(pipeline: Pipeline) {
  const survey = await pipeline.transport.survey('task')
  const status = await readStatus(pipeline, survey)
  expect(status.differences).toEqual([])
  const { differences } = await verify(pipeline, survey, status.operators, new AbortController().signal)
  expect(differences.filter(line => !line.startsWith('ingest: '))).toEqual([])
  return status.operators
}

/** Two of one family are not both kept, whatever came first, and none is without one. */
export function expectOneOfEach(kept: readonly string[], of = families): void {
  const counts = of.map(number => kept.filter(text => family(number).includes(text)).length)
  expect(counts).toEqual(of.map(() => 1))
}
