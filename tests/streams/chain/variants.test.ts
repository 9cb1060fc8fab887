import { describe, expect, it } from 'vitest'
import { promote, removeVariant } from '../../../streams/chain/promotion.ts'
import { readVariants } from '../../../streams/chain/variants.ts'
import { withSettings } from '../../../streams/config/config.ts'
import { listVariants } from '../../../streams/inspect/variants.ts'
import { applyRetention as applyRetentionOf } from '../../../streams/retention.ts'
import type { RetentionOptions } from '../../../streams/transports/embedded/retention.ts'
import {
  brief,
  bytesOf,
  CountingModel,
  codeOf,
  config,
  mainTopics,
  promptHash,
  replay,
  soundStatus,
  workedPipeline,
} from '../../support/replays.ts'

describe('variants', () => {
  it('are listed with what differs, their records and their range', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(4, model)
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief, range: { limit: 2 } })
    const [main, own] = await listVariants(pipeline)
    expect(main).toMatchObject({ name: 'main', records: { instruction: 4 }, differs: [], time: null })
    expect(own).toMatchObject({
      name: 'brief',
      records: { instruction: 2 },
      range: { limit: 2 },
      differs: [{ operator: 'instruct', key: 'prompt', main: promptHash(''), variant: promptHash(brief.text) }],
    })
  })

  it('keep the inputs that they wait for from retention, and no others', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(6, model)
    const floors = async () => {
      const found: number[] = []
      const applyRetention = async ({ floor }: RetentionOptions) => found.push(floor('situation', 0))
      await applyRetentionOf({ ...pipeline, applyRetention }, withSettings(config, { retentionDays: 1 }))
      return found[0]
    }
    expect(await floors()).toBe(6)
    await replay(pipeline, 'instruct', model, { variant: 'part', range: { limit: 2 } })
    expect(await floors()).toBe(6)
    const stop = new AbortController()
    stop.abort()
    await replay(pipeline, 'instruct', model, { variant: 'late', range: { from: '4' }, run: { stop: stop.signal } })
    expect(await floors()).toBe(4)
  })

  it('are removed with topics, tasks and dead letters, and the sums still hold, also for a new one of the name', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(12, model)
    await replay(pipeline, 'dedupe-instruction', model, { variant: 'strict', threshold: 0.5 })
    const dropped = (await soundStatus(pipeline)).operators['dedupe-instruction.strict']?.dropped
    const before = await bytesOf(pipeline, mainTopics)
    expect(await removeVariant(pipeline, 'strict')).toMatchObject({
      topics: ['deduped.strict', 'dedupe-instruction-state.strict'],
    })
    expect(await bytesOf(pipeline, mainTopics)).toBe(before)
    const status = await soundStatus(pipeline)
    expect(Object.keys(status.operators)).not.toContain('dedupe-instruction.strict')
    expect((await codeOf(removeVariant(pipeline, 'strict')))[0]).toBe('USAGE')
    expect((await codeOf(removeVariant(pipeline, 'main')))[0]).toBe('USAGE')
    await replay(pipeline, 'dedupe-instruction', model, { variant: 'strict', threshold: 0.5 })
    const again = (await soundStatus(pipeline)).operators['dedupe-instruction.strict']
    expect(again).toMatchObject({ in: 12, lag: 0, dropped })
  })

  it('are removed to the end where a removal was interrupted', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(3, model)
    model.failing = () => true
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief })
    const { transport } = pipeline
    const broken = {
      ...pipeline,
      transport: new Proxy(transport, {
        get: (target, name) => {
          if (name === 'compacted')
            return (topic: string) => {
              if (topic === 'failed') throw new Error('killed')
              return target.compacted(topic)
            }
          const value = Reflect.get(target, name, target)
          return typeof value === 'function' ? value.bind(target) : value
        },
      }),
    }
    await expect(removeVariant(broken, 'brief')).rejects.toThrow('killed')
    expect((await codeOf(replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief })))[0]).toBe('USAGE')
    expect((await codeOf(promote(pipeline, config, 'brief')))[0]).toBe('USAGE')
    expect(await removeVariant(pipeline, 'brief')).toMatchObject({ failed: 3 })
    expect((await soundStatus(pipeline)).operators.instruct?.failed).toEqual({})
  })

  it('can not be removed while another one reads their topics', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(3, model)
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief, through: 'dedupe-instruction' })
    await promote(pipeline, config, 'brief')
    await replay(pipeline, 'dedupe-instruction', model, { variant: 'strict', threshold: 0.5 })
    const back = (await readVariants(pipeline)).others[0]?.name ?? ''
    const { earlier } = await promote(pipeline, config, back)
    const [code, message] = await codeOf(removeVariant(pipeline, earlier))
    expect([code, message]).toEqual(['DATA_IN_USE', expect.stringContaining('strict')])
    await soundStatus(pipeline)
  })
})
