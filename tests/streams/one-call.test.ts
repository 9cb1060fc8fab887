import { describe, expect, it } from 'vitest'
import type { OperatorName } from '../../operators/index.ts'
import { bindStages } from '../../streams/bind.ts'
import { chooseStages, extendMainLine, firstLine, wantedOperators } from '../../streams/chain/main-line.ts'
import { promote } from '../../streams/chain/promotion.ts'
import { prepareReplay, stagesThrough } from '../../streams/chain/replay.ts'
import { layOut, type Stage } from '../../streams/chain/topology.ts'
import { readVariants } from '../../streams/chain/variants.ts'
import { readConfig } from '../../streams/config/config.ts'
import { withOperatorFlags } from '../../streams/config/operator-flags.ts'
import { sentMessages } from '../../streams/inspect/sent-messages.ts'
import { readStatus } from '../../streams/inspect/status.ts'
import type { Pipeline } from '../../streams/pipeline.ts'
import { Run } from '../../streams/run.ts'
import { defaults, memoryPipeline, readRecords, silent, writeArticles } from '../support/pipeline.ts'

const { config } = readConfig({ model: 'stand-in' }, {})

function run(pipeline: Pipeline, stages: readonly Stage[]) {
  const chosen = stages.filter(({ name }) => name !== 'extract')
  return new Run(pipeline, { ...defaults, bindings: bindStages(chosen, config) }, silent).work()
}

async function pipelineWith(...numbers: number[]): Promise<Pipeline> {
  const pipeline = await memoryPipeline()
  await addArticles(pipeline, ...numbers)
  return pipeline
}

function addArticles(pipeline: Pipeline, ...numbers: number[]): Promise<void> {
  const texts = numbers.map(number =>
    `Lighthouse ${number}. `.concat(
      `In year ${number} its keeper counted ${number * 37} ships on the sound. `.repeat(8),
    ),
  )
  return writeArticles(pipeline, texts)
}

async function operatorsOf(pipeline: Pipeline) {
  const status = await readStatus(pipeline, await pipeline.transport.survey('task'))
  expect(status.differences).toEqual([])
  return status.operators
}

async function replay(pipeline: Pipeline, name: OperatorName, variant: string) {
  const line = layOut((await readVariants(pipeline)).main.stages, [name])
  const [first] = chooseStages(line, [name])
  if (!first) throw new Error('no such stage')
  const bindings = await prepareReplay(pipeline, config, {
    variant,
    range: { from: null, until: null, limit: null },
    bindings: bindStages(stagesThrough(first, 'dedupe-instruction', line), config),
  })
  await new Run(pipeline, { ...defaults, bindings }, silent).work()
}

const names = (stages: readonly Stage[]) => stages.map(({ name }) => name)

describe('instructions in one call', () => {
  it.each([
    ['write', { oneCall: true }],
    ['write-plain', { noSituation: true }],
  ] as const)('are made by %s in place of situate and instruct, and all sums hold', async (name, flags) => {
    const wanted = wantedOperators([], withOperatorFlags(config, flags))
    expect(wanted).toEqual([name])
    const pipeline = await pipelineWith(1, 2, 3)
    const stages = await extendMainLine(pipeline, config, wanted)
    expect(names(stages)).toEqual(['extract', 'dedupe-document', name, 'dedupe-instruction'])
    await run(pipeline, stages)
    const instructions = await readRecords(pipeline, 'instruction')
    expect(instructions).toHaveLength(3)
    for (const { provenance, situation } of instructions) {
      expect(situation === null).toBe(name === 'write-plain')
      expect(provenance).toMatchObject({ operator: name, attempts: [{ code: null }] })
      if (provenance) expect((await sentMessages(pipeline, provenance)).matches).toBe(true)
    }
    expect(await readRecords(pipeline, 'deduped')).toHaveLength(3)
    const operators = await operatorsOf(pipeline)
    expect(operators[name]).toMatchObject({ in: 3, done: 3, out: 3 })
    expect(Object.keys(operators)).not.toContain('situate')
    expect(await extendMainLine(pipeline, config, [])).toEqual(stages)
  })

  it('exclude situate and instruct, and each other', async () => {
    expect(() => withOperatorFlags(config, { oneCall: true, noSituation: true })).toThrow('exclude each other')
    expect(() => wantedOperators(['write', 'write-plain'], config)).toThrow('they have one place in the chain')
    expect(() => chooseStages(firstLine(['write']), ['instruct'])).toThrow(
      'instruct is not in the chain of this log: write has its place',
    )
  })

  it('are refused where situate has worked already, and can be tried beside, promoted and taken back', async () => {
    const pipeline = await pipelineWith(1, 2)
    await run(pipeline, firstLine([]))
    await expect(extendMainLine(pipeline, config, ['write'])).rejects.toMatchObject({
      code: 'CONFIGURATION_CHANGED',
      message: expect.stringMatching(/write can't be put into the main line: (situate|instruct) has worked/),
    })
    await replay(pipeline, 'write', 'one')
    expect(names((await readVariants(pipeline)).main.stages)).toContain('situate')
    const { earlier } = await promote(pipeline, config, 'one')
    const { main } = await readVariants(pipeline)
    expect(names(main.stages)).toEqual(['extract', 'dedupe-document', 'write', 'dedupe-instruction'])
    await addArticles(pipeline, 3)
    await run(pipeline, main.stages)
    expect(await operatorsOf(pipeline)).toMatchObject({ write: { done: 3 }, [`situate.${earlier}`]: { done: 2 } })
    await promote(pipeline, config, earlier)
    const back = (await readVariants(pipeline)).main.stages
    expect(names(back)).toEqual(['extract', 'dedupe-document', 'situate', 'instruct', 'dedupe-instruction'])
    await run(pipeline, back)
    expect(await operatorsOf(pipeline)).toMatchObject({ situate: { done: 3 }, instruct: { done: 3 } })
  })

  it('stay the way of a log once they are: another way is refused', async () => {
    const pipeline = await pipelineWith(1)
    await run(pipeline, await extendMainLine(pipeline, config, ['write']))
    await expect(extendMainLine(pipeline, config, ['write-plain'])).rejects.toMatchObject({
      code: 'CONFIGURATION_CHANGED',
      message: expect.stringContaining('write has worked document without it already'),
    })
  })
})
