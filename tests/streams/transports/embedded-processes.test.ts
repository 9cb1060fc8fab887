import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Claim } from '../../../streams/transports/transport.ts'
import { keysOf, keysTo, outgoing, readAll } from '../../contracts/transport/fixture.ts'
import { Child, killChildren } from './child.ts'
import { DataFolder } from './data-folder.ts'

const topic = 'page'
const task = { id: 'situ-main-extract-0', stage: 'extract', partition: 0, topics: [topic] }

describe('embedded transport, several processes', () => {
  let folder: DataFolder
  beforeEach(() => {
    folder = new DataFolder()
  })
  afterEach(async () => {
    killChildren()
    await folder.remove()
  })

  async function openTopic() {
    const transport = await folder.open()
    await transport.createTopics([{ name: topic, partitions: 1, compacted: false }])
    return transport
  }

  it('takes each key once from three processes that bring the same', async () => {
    const transport = await openTopic()
    const children = [1, 2, 3].map(() => new Child(['bring', folder.path, topic, '200']))
    const counts = await Promise.all(children.map(child => child.next()))
    const alreadyThere = (counts as { alreadyThere: number }[]).reduce((sum, count) => sum + count.alreadyThere, 0)
    expect(alreadyThere).toBe(400)
    expect(keysOf(await readAll(transport, topic))).toEqual(keysTo(200))
  })

  it('wakes a follower in another process', async () => {
    const transport = await openTopic()
    const child = new Child(['follow', folder.path, topic, '3'])
    expect(await child.next()).toEqual({ ready: true })
    for (const key of ['one', 'two', 'three']) await transport.produce([outgoing(topic, key)])
    expect(await child.next()).toEqual({ keys: ['one', 'two', 'three'] })
    await child.ended()
  })

  it('takes a task over when the process that owns it is killed', async () => {
    const transport = await openTopic()
    const child = new Child(['own', folder.path, task.id, topic])
    expect(await child.next()).toEqual({ epoch: 1 })
    const { promise, resolve } = Promise.withResolvers<Claim>()
    const member = await transport.join([task], resolve)
    expect(member.held).toEqual([task])
    await child.kill()
    const claim = await promise
    expect(claim.epoch).toBe(2)
    expect(member.held).toEqual([])
    await claim.commit([outgoing(topic, 'mine')], () => outgoing(topic, 'record'), [])
    expect(keysOf(await readAll(transport, topic))).toEqual(['mine', 'record'])
  })

  it('neither repeats nor leaves out a commit while owners are killed one after another', async () => {
    const transport = await openTopic()
    await transport.createTopics([{ name: 'task', partitions: 1, compacted: true }])
    const start = () => new Child(['work', folder.path, task.id, topic, 'task'])
    const workers = [start(), start()]
    const answers = workers.map(worker => worker.next())
    let last = { committed: 0, epoch: 0 }
    for (let round = 0; round < 6; round++) {
      const owner = await Promise.race(answers.map((answer, index) => answer.then(() => index)))
      for (let count = 0; count < 3 * round + 1; count++) last = (await workers[owner]?.next()) as typeof last
      await workers[owner]?.kill()
      const worker = start()
      workers[owner] = worker
      answers[owner] = worker.next()
    }
    await Promise.race(answers)
    await Promise.all(workers.map(worker => worker.kill()))
    expect(last.epoch).toBe(6)
    const keys = keysOf(await readAll(transport, topic))
    expect(keys.length).toBeGreaterThan(last.committed + 1)
    expect(keys).toEqual(keysTo(keys.length))
    expect(Buffer.from((await transport.get('task', task.id))?.value ?? []).toString()).toBe(String(keys.length))
  })

  it('holds whole batches only after a process was killed while it wrote', async () => {
    const transport = await openTopic()
    const child = new Child(['batches', folder.path, topic])
    let last = 0
    while (last < 20) last = ((await child.next()) as { batch: number }).batch
    await child.kill()
    const messages = await readAll(transport, topic)
    expect(messages.length % 10).toBe(0)
    expect(messages.length).toBeGreaterThanOrEqual((last + 1) * 10)
    await transport.produce([outgoing(topic, 'next')])
    expect((await readAll(transport, topic)).at(-1)?.key).toBe('next')
  })

  it('opens a new folder from three processes at the same time', async () => {
    const schema = '{"type":"record","name":"Empty","fields":[]}'
    const children = [1, 2, 3].map(() => new Child(['register', folder.path, schema]))
    const answers = await Promise.all(children.map(child => child.next()))
    expect(answers).toEqual([{ ids: [1] }, { ids: [1] }, { ids: [1] }])
  })
})
