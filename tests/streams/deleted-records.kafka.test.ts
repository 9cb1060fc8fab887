import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { KafkaTransport } from '../../streams/transports/kafka/index.ts'
import { kafkaServices } from '../support/kafka.ts'
import { mustSitu, removeFolder, situ, temporaryFolder } from '../support/situ.ts'
import { KafkaFixture } from './transports/kafka-fixture.ts'

let folder: string
beforeAll(() => {
  folder = temporaryFolder()
})
afterAll(() => removeFolder(folder))

describe('records that were deleted before they were worked', () => {
  let fixture: KafkaFixture
  let transport: KafkaTransport
  let env: Record<string, string>
  beforeEach(async () => {
    fixture = new KafkaFixture()
    const { brokers, registry } = kafkaServices()
    env = { SITU_BROKERS: brokers.join(','), SITU_REGISTRY: registry, SITU_PREFIX: fixture.prefix }
    await mustSitu(['topics', '--create'], { env, cwd: folder })
    transport = await fixture.open()
  })
  afterEach(() => fixture.close())

  const ingest = (first: number, count: number) => {
    const lines = Array.from({ length: count }, (_, index) => {
      const text = `Report ${first + index} tells of what was measured at the weir on day ${first + index}. `
      return JSON.stringify({ text: text.repeat(8) })
    })
    return mustSitu(['ingest', '-', '--as', 'article'], { env, cwd: folder, input: lines.join('\n') })
  }
  const run = (...words: string[]) => situ(['run', 'dedupe-document', '--json', ...words], { env, cwd: folder })
  const done = async () => {
    const { stdout } = await mustSitu(['topics', '--json'], { env, cwd: folder })
    return JSON.parse(stdout).operators['dedupe-document'].done
  }
  /** As retention does, whoever still wants to read them. */
  const deleteBefore = async (name: string, offset: number) => {
    const admin = await fixture.admin()
    const topic = `${fixture.prefix}.${name}`
    // kafkajs must have heard of it.
    await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(offset) }] })
  }

  it('do not keep a task from its first run', async () => {
    await ingest(0, 10)
    const { end } = await transport.bounds('article', 0)
    await ingest(10, 5)
    await deleteBefore('article', end)
    const { code, stderr } = await run()
    expect(stderr).toContain(`article begins at ${end}`)
    expect(code).toBe(0)
    expect(await done()).toBe(5)
  })

  it('stop a task that is behind, until the loss is accepted', async () => {
    await ingest(0, 3)
    expect((await run()).code).toBe(0)
    await ingest(3, 10)
    const { end } = await transport.bounds('article', 0)
    await ingest(13, 5)
    await deleteBefore('article', end)
    const { code, stderr } = await run()
    expect([code, stderr]).toEqual([1, expect.stringMatching(/POSITION_LOST.*--accept-loss/)])
    expect(await done()).toBe(3)
    expect((await run('--accept-loss')).code).toBe(0)
    expect(await done()).toBe(8)
    expect((await run()).code).toBe(0)
  })

  it('do not stop a task where they were requests to work something again', async () => {
    await ingest(0, 3)
    expect((await run()).code).toBe(0)
    await transport.produce([
      { topic: 'retry', partition: 0, key: 'of nobody', value: Buffer.from('not for this task') },
    ])
    await deleteBefore('retry', (await transport.bounds('retry', 0)).end)
    await ingest(3, 2)
    expect((await run()).code).toBe(0)
    expect(await done()).toBe(5)
  })

  it('are told where their topic was made anew and is longer than the position by now', async () => {
    await ingest(0, 3)
    expect((await run()).code).toBe(0)
    const { end } = await transport.bounds('article', 0)
    await transport.deleteTopics(['article'])
    await mustSitu(['topics', '--create'], { env, cwd: folder })
    await ingest(100, 8)
    expect((await transport.bounds('article', 0)).end).toBeGreaterThan(end)
    const { code, stderr } = await run()
    expect([code, stderr]).toEqual([1, expect.stringMatching(/article was deleted and made anew.*POSITION_LOST/s)])
    expect((await run('--accept-loss')).code).toBe(0)
    expect(await done()).toBe(3 + 8)
    expect((await run()).code).toBe(0)
  })
})
