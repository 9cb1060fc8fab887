import { describe, expect, it } from 'vitest'
import { chooseStages } from '../../../streams/chain/main-line.ts'
import { promote } from '../../../streams/chain/promotion.ts'
import type { Stage } from '../../../streams/chain/topology.ts'
import { readVariants, stageConfirmer } from '../../../streams/chain/variants.ts'
import { Run } from '../../../streams/run.ts'
import { MemoryLog } from '../../../streams/transports/memory.ts'
import { defaults, memoryPipeline, silent } from '../../support/pipeline.ts'
import {
  addArticles,
  bind,
  brief,
  bytesOf,
  CountingModel,
  chain,
  codeOf,
  config,
  mainTopics,
  recordsOf,
  replay,
  runMain,
  soundStatus,
  workedPipeline,
} from '../../support/replays.ts'
import { until } from '../../support/until.ts'

describe('promote', () => {
  it('makes a variant the main line, keeps the former one, and can be taken back', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(10, model)
    const before = await bytesOf(pipeline, mainTopics)
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief, through: 'dedupe-instruction' })
    const { earlier, fresh } = await promote(pipeline, config, 'brief')
    expect([earlier, fresh]).toEqual([expect.stringMatching(/^main-\d{4}-\d\d-\d\d$/), []])
    expect(await bytesOf(pipeline, mainTopics)).toBe(before)
    const variants = await readVariants(pipeline)
    expect([variants.topicOf('instruction'), variants.topicOf('situation')]).toEqual(['instruction.brief', 'situation'])
    expect(variants.view('deduped', earlier).topic).toBe('deduped')
    const { operators, topics } = await soundStatus(pipeline)
    expect([operators.instruct?.out, operators[`instruct.${earlier}`]?.out]).toEqual([10, 10])
    expect(topics[`deduped.${earlier}`]?.records).toBeGreaterThan(0)

    // The main line goes on with the prompt of the variant, and refuses the former one.
    await addArticles(pipeline, 10, 14)
    expect((await codeOf(runMain(pipeline, model)))[0]).toBe('CONFIGURATION_CHANGED')
    const { counters } = await runMain(pipeline, model, { prompt: brief })
    expect(counters.instruct).toMatchObject({ in: 14, out: 14 })
    const after = (await soundStatus(pipeline)).operators
    expect(after[`instruct.${earlier}`]).toMatchObject({ in: 10, out: 10, lag: 0 })
    expect(await recordsOf(pipeline, 'instruction', 'instruction')).toHaveLength(10)

    await promote(pipeline, config, earlier)
    const { main, others } = await readVariants(pipeline)
    expect(main.stages.map(({ variant }) => variant)).toEqual(['main', 'main', 'main', 'main', 'main'])
    expect(others.map(({ stages }) => stages.map(({ output }) => output))).toEqual([
      ['instruction.brief', 'deduped.brief'],
    ])
    await runMain(pipeline, model)
    expect((await soundStatus(pipeline)).operators.instruct).toMatchObject({ in: 14, out: 14, lag: 0 })
  })

  it('lets the operators behind those of the variant begin at nothing', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(8, model)
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief, range: { limit: 3 } })
    const { fresh } = await promote(pipeline, config, 'brief')
    expect(fresh.map(({ name }) => name)).toEqual(['dedupe-instruction'])
    expect((await soundStatus(pipeline)).operators).toMatchObject({
      instruct: { in: 3, lag: 5 },
      'dedupe-instruction': { in: 0, lag: 3 },
    })
    await runMain(pipeline, model, { prompt: brief })
    const { operators } = await soundStatus(pipeline)
    expect(operators.instruct).toMatchObject({ in: 8, lag: 0 })
    expect(operators['dedupe-instruction']).toMatchObject({ in: 8, lag: 0 })
  })

  it('tells how many inputs lie before the range of the replay', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(6, model)
    await replay(pipeline, 'instruct', model, { variant: 'late', range: { from: '4' } })
    expect(await promote(pipeline, config, 'late')).toMatchObject({ leftOut: 4 })
    await runMain(pipeline, model)
    expect((await soundStatus(pipeline)).operators.instruct).toMatchObject({ in: 2, lag: 0 })
    const variants = await readVariants(pipeline)
    expect(variants.view('dedupe-instruction-state').topic).toBe('dedupe-instruction-state.late')
    expect(variants.view('deduped').topic).toBe('deduped.late')
    expect(variants.view(`deduped.${variants.others[0]?.name}`).topic).toBe('deduped')
    expect(() => variants.view('situation', variants.others[0]?.name)).toThrow('it has instruction, deduped')
  })

  it('refuses while a worker has a task of it, and what was made from a topic that the main line has left', async () => {
    const model = new CountingModel()
    const log = new MemoryLog()
    const pipeline = await workedPipeline(3, model, 1, log)
    await replay(pipeline, 'situate', model, { variant: 'scenes' })
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief })
    const other = await memoryPipeline(log)
    const stop = new AbortController()
    const following = runMain(other, model, {}, { follow: true, stop: stop.signal })
    await until(() => log.tasks.get('main-instruct-0')?.owned === true)
    expect(await codeOf(promote(pipeline, config, 'brief'))).toEqual([
      'DATA_IN_USE',
      expect.stringContaining('main-instruct-0'),
    ])
    stop.abort()
    await following
    await promote(pipeline, config, 'scenes')
    const [code, message] = await codeOf(promote(pipeline, config, 'brief'))
    expect([code, message]).toEqual(['USAGE', expect.stringContaining('situation.scenes')])
    expect((await codeOf(promote(pipeline, config, 'brif')))[1]).toContain('did you mean brief')
    expect((await codeOf(replay(pipeline, 'instruct', model, { variant: 'scenes' })))[0]).toBe('USAGE')
    await soundStatus(pipeline)
  })

  it('is noticed by a worker that takes a task later, before it reads anything', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(3, model)
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief, through: 'dedupe-instruction' })
    const former = (await readVariants(pipeline)).main
    await promote(pipeline, config, 'brief')
    await addArticles(pipeline, 3, 5)
    const confirm = stageConfirmer(pipeline, 'main')
    const bindings = bind(chooseStages(former.stages, chain), model)
    const run = new Run(pipeline, { ...defaults, confirm, bindings }, silent).work()
    expect((await codeOf(run))[0]).toBe('CONFIGURATION_CHANGED')
    expect(await recordsOf(pipeline, 'instruction', 'instruction')).toHaveLength(3)
    const { main, others } = await readVariants(pipeline)
    for (const stage of main.stages) await stageConfirmer(pipeline, 'main')(stage)
    expect((await codeOf(stageConfirmer(pipeline, 'brief')(others[0]?.stages[0] as Stage)))[0]).toBe(
      'CONFIGURATION_CHANGED',
    )
  })

  it('keeps clean texts that came in as articles from being lost', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(2, model)
    await replay(pipeline, 'extract', model, { variant: 'strict' })
    expect((await codeOf(promote(pipeline, config, 'strict')))[1]).toContain('situ ingest --as article')
  })
})
