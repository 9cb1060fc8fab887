import { describe, expect, it } from 'vitest'
import { BenchmarkIndex } from '../../../operators/decontaminate/benchmark-index.ts'
import { chooseStages, extendMainLine, firstLine, wantedOperators } from '../../../streams/chain/main-line.ts'
import { promote } from '../../../streams/chain/promotion.ts'
import { prepareReplay, stagesThrough } from '../../../streams/chain/replay.ts'
import { partitionOf, type Stage } from '../../../streams/chain/topology.ts'
import { readVariants } from '../../../streams/chain/variants.ts'
import { readConfig } from '../../../streams/config/config.ts'
import { contentId } from '../../../streams/identity.ts'
import { ingestRecords } from '../../../streams/ingest/ingest-records.ts'
import { readStatus } from '../../../streams/inspect/status.ts'
import type { Pipeline } from '../../../streams/pipeline.ts'
import { Run } from '../../../streams/run.ts'
import { StageBinding } from '../../../streams/task/stage-binding.ts'
import { MemoryLog } from '../../../streams/transports/memory.ts'
import { defaults, fasterClock, memoryPipeline, silent } from '../../support/pipeline.ts'

const { config } = readConfig({}, {})
const prompt = 'Explain to a child of nine why the figure skater spins faster when she pulls her arms in.'
const benchmarks = new BenchmarkIndex([{ benchmark: 'mt-bench', id: '95/2', text: prompt }])

const names = ['decontaminate', 'dedupe-instruction']

function bind(stages: readonly Stage[]): StageBinding[] {
  return chooseStages(stages, names).map(stage => {
    const options = config.operators[stage.name]?.options ?? {}
    return new StageBinding(stage, options, {
      prompt: null,
      model: null,
      snapshot: null,
      ...(stage.operator.benchmarks && { benchmarks }),
    })
  })
}

async function pipelineWith(texts: readonly string[], log = new MemoryLog()): Promise<Pipeline> {
  const pipeline = await memoryPipeline(log, fasterClock(50), 2)
  const { transport, serde, partitions } = pipeline
  await transport.produce(
    texts.map(content => {
      const item = { kind: 'item', content, format: 'text', url: null, title: null, place: null, source: 'x' } as const
      const record = ingestRecords.instruction(item)
      const partition = partitionOf('instruction', record, partitions)
      return { topic: 'instruction', partition, key: record.id, ...serde.encode('instruction', record) }
    }),
  )
  return pipeline
}

function work(pipeline: Pipeline, stages: readonly Stage[]) {
  return new Run(pipeline, { ...defaults, bindings: bind(stages) }, silent).work()
}

async function textsOf({ transport, serde, partitions }: Pipeline, topic: string): Promise<string[]> {
  const texts: string[] = []
  for (let partition = 0; partition < partitions; partition++) {
    for await (const { messages } of transport.read(topic, partition, 0)) {
      for (const { value } of messages) texts.push((await serde.decode('deduped', value)).text)
    }
  }
  return texts.sort()
}

async function soundOperators(pipeline: Pipeline) {
  const status = await readStatus(pipeline, await pipeline.transport.survey('task'))
  expect(status.differences).toEqual([])
  return status.operators
}

describe('optional operators', () => {
  it('are asked for by name, in the configuration and by what they need', () => {
    expect(wantedOperators([], config)).toEqual([])
    expect(wantedOperators(['decontaminate', 'instruct'], config)).toEqual(['decontaminate'])
    const { config: withFiles } = readConfig({ benchmarks: ['a.jsonl,b.jsonl'] }, {})
    expect(wantedOperators([], withFiles)).toEqual(['decontaminate'])
    const operators = {
      ...config.operators,
      decontaminate: { model: undefined, prompt: undefined, cache: true, enabled: true, options: {} },
    }
    expect(wantedOperators([], { ...config, operators })).toEqual(['decontaminate'])
    expect(() => wantedOperators(['decontamine'], config)).toThrow('did you mean decontaminate')
  })

  it('stand in their place: what they write stands in for what they read', () => {
    const inputs = (stages: readonly Stage[]) => stages.map(({ name, input }) => `${name} < ${input}`)
    expect(inputs(firstLine([])).slice(-2)).toEqual(['instruct < situation', 'dedupe-instruction < instruction'])
    expect(inputs(firstLine(['decontaminate'])).slice(-2)).toEqual([
      'decontaminate < instruction',
      'dedupe-instruction < decontaminated',
    ])
  })

  it('are kept in the log once they were asked for', async () => {
    const pipeline = await pipelineWith([prompt, 'What is a ferry?', 'WHAT IS A FERRY?'])
    const stages = await extendMainLine(pipeline, config, ['decontaminate'])
    expect(stages).toEqual((await readVariants(pipeline)).main.stages)
    expect(await extendMainLine(pipeline, config, [])).toEqual(stages)
    await work(pipeline, stages)
    expect(await textsOf(pipeline, 'deduped')).toHaveLength(1)
    const operators = await soundOperators(pipeline)
    expect(operators.decontaminate).toMatchObject({ in: 3, done: 2, dropped: { benchmark_prompt: 1 } })
    expect(operators['dedupe-instruction']).toMatchObject({ in: 2, done: 1 })
  })

  it('meet equal texts in one partition, as the stage behind them wants it', async () => {
    const texts = ['What is a ferry?', 'WHAT IS A FERRY?', 'what is  a ferry?', 'What is bread?', 'what IS bread?']
    const pipeline = await pipelineWith(texts)
    await work(pipeline, await extendMainLine(pipeline, config, ['decontaminate']))
    expect(await textsOf(pipeline, 'deduped')).toHaveLength(2)
  })

  it('are laid once by several workers that begin together', async () => {
    const log = new MemoryLog()
    const pipeline = await pipelineWith(['What is a ferry?'], log)
    const others = await Promise.all([1, 2, 3].map(() => memoryPipeline(log, fasterClock(50), 2)))
    const lines = await Promise.all([pipeline, ...others].map(each => extendMainLine(each, config, ['decontaminate'])))
    for (const line of lines) expect(line).toEqual(lines[0])
  })

  it('are refused where the stage behind them has worked without them, and come in by a variant', async () => {
    const pipeline = await pipelineWith([prompt, 'What is a ferry?'])
    await work(pipeline, firstLine([]))
    await expect(extendMainLine(pipeline, config, ['decontaminate'])).rejects.toMatchObject({
      code: 'CONFIGURATION_CHANGED',
      message: expect.stringContaining('dedupe-instruction has worked instruction without it'),
    })
    const line = firstLine(['decontaminate'])
    const [first] = chooseStages(line, ['decontaminate'])
    if (!first) throw new Error('no such stage')
    const bindings = await prepareReplay(pipeline, config, {
      variant: 'clean',
      range: { from: null, until: null, limit: null },
      bindings: bind(stagesThrough(first, 'dedupe-instruction', line)),
    })
    await new Run(pipeline, { ...defaults, bindings }, silent).work()
    await promote(pipeline, config, 'clean')
    const { main } = await readVariants(pipeline)
    expect(await extendMainLine(pipeline, config, ['decontaminate'])).toEqual(main.stages)
    expect(main.stages.at(-1)).toMatchObject({ input: 'decontaminated.clean', output: 'deduped.clean' })
    expect(await textsOf(pipeline, 'deduped.clean')).toEqual(['What is a ferry?'])
    expect(await textsOf(pipeline, 'deduped')).toHaveLength(2)
    await soundOperators(pipeline)
  })

  it('leave an instruction under the id that its content gives it', () => {
    const item = {
      kind: 'item',
      content: 'a',
      format: 'text',
      url: null,
      title: null,
      place: null,
      source: 'x',
    } as const
    expect(ingestRecords.instruction(item).id).toBe(contentId('a'))
  })
})
