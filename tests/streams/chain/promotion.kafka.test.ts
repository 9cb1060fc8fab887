import { afterEach, beforeEach, expect, it } from 'vitest'
import { SituError } from '../../../schemas/errors.ts'
import { promote, removeVariant } from '../../../streams/chain/promotion.ts'
import { variantMessage } from '../../../streams/chain/replay.ts'
import { type Stage, stageOf, tasksOf } from '../../../streams/chain/topology.ts'
import { readVariants, stageConfirmer, toRecord } from '../../../streams/chain/variants.ts'
import { readConfig } from '../../../streams/config/config.ts'
import { openPipeline, type Pipeline } from '../../../streams/pipeline.ts'
import type { Transport } from '../../../streams/transports/transport.ts'
import { kafkaServices, uniquePrefix } from '../../support/kafka.ts'

let own: Pipeline
let other: Pipeline
let joined: { leave(): Promise<void> } | null = null
const { config } = readConfig({}, {})
beforeEach(async () => {
  const { brokers, registry } = kafkaServices()
  const prefix = uniquePrefix().slice(0, -1)
  const settings = { brokers: brokers.join(','), registry, prefix, partitions: '2' }
  own = await openPipeline(readConfig(settings, {}).config, 'write')
  other = await openPipeline(readConfig(settings, {}).config, 'read')
  const stage = stageOf('instruct', 'brief', 'situation')
  const record = { id: 'brief', state: 'there' as const, range: '{}', origin: null, time: 1 }
  await own.transport.produce([variantMessage(own, { ...record, stages: [toRecord(stage, [], null)] })])
})
afterEach(async () => {
  await joined?.leave()
  joined = null
  await own.close()
  await other.close()
})

/** Another worker that joins for these tasks just before the topic `variant` is written, and what its stages were then. */
function joinBeforeWrite(stage: Stage, line: string): { pipeline: Pipeline; confirmed: Promise<unknown> } {
  const confirmed = Promise.withResolvers<unknown>()
  const produce: Transport['produce'] = async (messages, finish) => {
    if (joined === null && messages.some(({ topic }) => topic === 'variant')) {
      joined = { leave: async () => {} }
      const first = Promise.withResolvers<void>()
      const membership = other.transport.join(tasksOf(stage, other.partitions), () => first.resolve())
      await first.promise
      joined = await membership
      confirmed.resolve(await stageConfirmer(other, line)(stage).then(() => 'ours', messageOf))
    }
    return own.transport.produce(messages, finish)
  }
  const transport = new Proxy(own.transport, {
    get: (target, name) => {
      if (name === 'produce') return produce
      const value = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return { pipeline: { ...own, transport }, confirmed: confirmed.promise }
}

function messageOf(error: unknown): string {
  return error instanceof SituError ? error.code : String(error)
}

it('is undone where a worker takes a task of the main line before it is written', async () => {
  const { main } = await readVariants(own)
  const stage = main.stages.find(({ name }) => name === 'instruct')
  if (!stage) throw new Error('no instruct')
  const { pipeline, confirmed } = joinBeforeWrite(stage, 'main')
  await expect(promote(pipeline, config, 'brief')).rejects.toMatchObject({ code: 'DATA_IN_USE' })
  expect(await confirmed).toBe('ours')
  await expect(stageConfirmer(other, 'main')(stage)).resolves.toBeUndefined()
  expect((await readVariants(own)).others.map(({ name }) => name)).toEqual(['brief'])
  await joined?.leave()
  await promote(own, config, 'brief')
  await expect(stageConfirmer(other, 'main')(stage)).rejects.toMatchObject({ code: 'CONFIGURATION_CHANGED' })
})

it('leaves a variant as it is that a worker takes a task of before its removal is written', async () => {
  const line = (await readVariants(own)).find('brief')
  const [stage] = line.stages
  if (!stage) throw new Error('no stage')
  const { pipeline, confirmed } = joinBeforeWrite(stage, 'brief')
  await expect(removeVariant(pipeline, 'brief')).rejects.toMatchObject({ code: 'DATA_IN_USE' })
  expect(await confirmed).toBe('ours')
  await expect(stageConfirmer(other, 'brief')(stage)).resolves.toBeUndefined()
  await joined?.leave()
  await removeVariant(own, 'brief')
  expect((await readVariants(own)).others).toEqual([])
})
