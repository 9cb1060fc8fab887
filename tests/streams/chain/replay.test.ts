import { describe, expect, it } from 'vitest'
import type { ModelRequest } from '../../../operators/model.ts'
import { ancestors, descendants, findRecord } from '../../../streams/inspect/lineage.ts'
import { MemoryLog } from '../../../streams/transports/memory.ts'
import { memoryPipeline } from '../../support/pipeline.ts'
import {
  addArticles,
  brief,
  bytesOf,
  CountingModel,
  codeOf,
  mainTopics,
  promptHash,
  recordsOf,
  replay,
  runMain,
  soundStatus,
  workedPipeline,
} from '../../support/replays.ts'

describe('replay', () => {
  it('works the inputs of an operator again, calls nothing before it and leaves the main line byte for byte', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(40, model)
    const before = await bytesOf(pipeline, mainTopics)
    expect(model.calls).toEqual({ situation: 40, instruction: 40 })
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief })
    expect(model.calls).toEqual({ situation: 40, instruction: 80 })
    expect(await bytesOf(pipeline, mainTopics)).toBe(before)
    const [main, own] = [
      await recordsOf(pipeline, 'instruction', 'instruction'),
      await recordsOf(pipeline, 'instruction.brief', 'instruction'),
    ]
    expect(new Set([...main, ...own].map(({ id }) => id)).size).toBe(80)
    expect(own.map(({ situation }) => situation?.id).sort()).toEqual(main.map(({ situation }) => situation?.id).sort())
    const { operators, topics } = await soundStatus(pipeline)
    expect(operators['instruct.brief']).toMatchObject({ in: 40, done: 40, out: 40, lag: 0 })
    expect(operators.instruct).toMatchObject({ in: 40, done: 40, out: 40, lag: 0 })
    expect(topics['instruction.brief']?.records).toBe(40)
  })

  it('goes through the later operators, whose state begins empty', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(20, model)
    const kept = (await recordsOf(pipeline, 'deduped', 'deduped')).length
    await replay(pipeline, 'instruct', model, { variant: 'same', through: 'dedupe-instruction' })
    const [main, own] = await Promise.all(
      ['deduped', 'deduped.same'].map(topic => recordsOf(pipeline, topic, 'deduped')),
    )
    expect([own?.length, kept > 0]).toEqual([kept, true])
    expect(own?.map(({ id }) => id).sort()).toEqual(main?.map(({ id }) => id).sort())
    const { operators } = await soundStatus(pipeline)
    expect(operators['dedupe-instruction.same']?.dropped).toEqual(operators['dedupe-instruction']?.dropped)
  })

  it('may be led further through the chain later', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(6, model)
    await replay(pipeline, 'situate', model, { variant: 'other', through: 'instruct' })
    expect(model.calls).toEqual({ situation: 12, instruction: 12 })
    await replay(pipeline, 'situate', model, { variant: 'other', through: 'dedupe-instruction' })
    expect(model.calls).toEqual({ situation: 12, instruction: 12 })
    const { operators } = await soundStatus(pipeline)
    expect(operators['dedupe-instruction.other']).toMatchObject({ in: 6, lag: 0 })
    expect(operators['instruct.other']).toMatchObject({ in: 6, out: 6 })
  })

  it('goes on where it was stopped', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(30, model)
    const stop = new AbortController()
    model.failing = () => {
      if (model.calls.instruction === 40) stop.abort()
      return false
    }
    const wanted = { variant: 'brief', prompt: brief }
    await replay(pipeline, 'instruct', model, { ...wanted, run: { stop: stop.signal, concurrency: 2 } })
    const first = (await recordsOf(pipeline, 'instruction.brief', 'instruction')).length
    expect(first).toBeLessThan(30)
    await soundStatus(pipeline)
    await replay(pipeline, 'instruct', model, wanted)
    expect(model.calls.instruction).toBe(60)
    expect(await recordsOf(pipeline, 'instruction.brief', 'instruction')).toHaveLength(30)
    await soundStatus(pipeline)
  })

  it('takes the inputs that have come since where it has no end', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(5, model)
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief })
    await addArticles(pipeline, 5, 8)
    await runMain(pipeline, model)
    expect((await soundStatus(pipeline)).operators['instruct.brief']).toMatchObject({ in: 5, lag: 3 })
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief })
    expect((await soundStatus(pipeline)).operators['instruct.brief']).toMatchObject({ in: 8, lag: 0 })
  })

  it('keeps to its range, and counts only that', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(20, model)
    await replay(pipeline, 'instruct', model, { variant: 'part', range: { from: '5', until: '15', limit: 4 } })
    const own = await recordsOf(pipeline, 'instruction.part', 'instruction')
    expect(own.map(({ provenance }) => provenance?.input.offset).sort()).toEqual([5, 6, 7, 8])
    expect((await soundStatus(pipeline)).operators['instruct.part']).toMatchObject({ in: 4, done: 4, lag: 0 })
    await replay(pipeline, 'instruct', model, { variant: 'part', range: { from: '5', until: '15', limit: 4 } })
    expect(model.calls.instruction).toBe(24)
    const times = pipeline.transport.read('situation', 0, 12, { maxMessages: 1 })
    const { value } = await times[Symbol.asyncIterator]().next()
    const from = new Date(value.messages[0].timestamp).toISOString()
    await replay(pipeline, 'instruct', model, { variant: 'late', range: { from } })
    const late = await recordsOf(pipeline, 'instruction.late', 'instruction')
    expect(Math.min(...late.map(({ provenance }) => provenance?.input.offset ?? Number.NaN))).toBeLessThanOrEqual(12)
    await soundStatus(pipeline)
  })

  it.each(['-5', '1.5'])('takes %s for no time', async from => {
    const pipeline = await workedPipeline(1, new CountingModel())
    const wanted = { variant: 'odd', range: { from } }
    await expect(replay(pipeline, 'instruct', new CountingModel(), wanted)).rejects.toMatchObject({
      code: 'USAGE',
      message: `--from ${from}: expected earliest, latest, an offset or a time`,
    })
  })

  it('shares a limit out among partitions', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(30, model, 3)
    await replay(pipeline, 'instruct', model, { variant: 'part', range: { limit: 7 } })
    const own = await recordsOf(pipeline, 'instruction.part', 'instruction')
    const counts = Map.groupBy(own, ({ provenance }) => provenance?.input.partition)
    expect([...counts.values()].map(({ length }) => length).sort()).toEqual([2, 2, 3])
    await soundStatus(pipeline)
  })

  it('refuses another prompt, range or operator under the same name, and shows both', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(3, model)
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief })
    const before = promptHash(brief.text)
    const [code, message] = await codeOf(
      replay(pipeline, 'instruct', model, {
        variant: 'brief',
        prompt: { ...brief, text: '\nLonger.' },
        range: { limit: 2 },
      }),
    )
    expect(code).toBe('CONFIGURATION_CHANGED')
    for (const shown of [before, promptHash('\nLonger.'), 'limit was null, is 2']) expect(message).toContain(shown)
    expect(await codeOf(replay(pipeline, 'situate', model, { variant: 'brief' }))).toEqual([
      'CONFIGURATION_CHANGED',
      expect.stringContaining('operator was instruct, is situate'),
    ])
    expect(model.calls).toEqual({ situation: 3, instruction: 6 })
    for (const variant of ['main', 'main-2026-01-01', 'a.b', 'a/b', '']) {
      expect((await codeOf(replay(pipeline, 'instruct', model, { variant })))[0]).toBe('USAGE')
    }
  })

  it('has dead letters of its own, which come back to it alone', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(6, model)
    const isThird = ({ replySchema, messages }: ModelRequest) =>
      replySchema.name === 'instruction' && messages.some(({ content }) => content.includes('lighthouse 3 '))
    model.failing = isThird
    await replay(pipeline, 'instruct', model, { variant: 'one', prompt: brief })
    await replay(pipeline, 'instruct', model, { variant: 'two', prompt: brief })
    const { operators } = await soundStatus(pipeline)
    expect([operators['instruct.one']?.failed, operators.instruct?.failed]).toEqual([{ MODEL_CONTENT_FILTERED: 1 }, {}])
    model.failing = () => false
    for await (const { value, key } of pipeline.transport.compacted('failed')) {
      const letter = await pipeline.serde.decode('failed', value)
      if (letter.variant !== 'one' || !letter.place) continue
      const { id, operator, place, variant, value: input } = letter
      const retry = pipeline.serde.encode('retry', { id, operator, place, value: input, variant })
      await pipeline.transport.produce([{ topic: 'retry', partition: 0, key: key ?? '', value: retry.value }])
    }
    await runMain(pipeline, model)
    await replay(pipeline, 'instruct', model, { variant: 'two', prompt: brief })
    await replay(pipeline, 'instruct', model, { variant: 'one', prompt: brief })
    const after = (await soundStatus(pipeline)).operators
    expect(after['instruct.one']).toMatchObject({ done: 6, failed: {}, retried: 1 })
    expect(after['instruct.two']).toMatchObject({ done: 5, failed: { MODEL_CONTENT_FILTERED: 1 }, retried: 0 })
    expect(after.instruct).toMatchObject({ done: 6, retried: 0 })
  })

  it('runs beside the main line without fencing it', async () => {
    const model = new CountingModel()
    const log = new MemoryLog()
    const pipeline = await workedPipeline(10, model, 1, log)
    const other = await memoryPipeline(log)
    await addArticles(pipeline, 10, 30)
    const [main] = await Promise.all([
      runMain(pipeline, model),
      replay(other, 'instruct', model, { variant: 'brief', prompt: brief }),
    ])
    expect(main.held).toEqual([])
    await replay(other, 'instruct', model, { variant: 'brief', prompt: brief })
    const { operators } = await soundStatus(pipeline)
    expect([operators.instruct?.out, operators['instruct.brief']?.out]).toEqual([30, 30])
  })
})

describe('lineage', () => {
  it('leads from a variant back to the main line, and from there to all variants', async () => {
    const model = new CountingModel()
    const pipeline = await workedPipeline(3, model)
    await replay(pipeline, 'instruct', model, { variant: 'brief', prompt: brief, through: 'dedupe-instruction' })
    await replay(pipeline, 'instruct', model, { variant: 'same', through: 'dedupe-instruction' })
    const [own] = await recordsOf(pipeline, 'deduped.brief', 'deduped')
    const found = await findRecord(pipeline, own?.id ?? '')
    if (!found) throw new Error('not found')
    expect(found.topic).toBe('deduped.brief')
    const way = await ancestors(pipeline, found)
    expect(way.map(({ topic }) => topic)).toEqual(['instruction.brief', 'situation', 'document', 'article'])
    const situation = way[1]
    const tree = await descendants(pipeline, situation ?? found)
    // The variant with the same configuration has the same ids: each has children of its own.
    expect(tree.children.map(child => [child.topic, child.children.map(({ topic }) => topic)])).toEqual([
      ['instruction', [expect.stringMatching(/^(deduped|dropped)$/)]],
      ['instruction.brief', ['deduped.brief']],
      ['instruction.same', [expect.stringMatching(/^(deduped\.same|dropped)$/)]],
    ])
  })
})
