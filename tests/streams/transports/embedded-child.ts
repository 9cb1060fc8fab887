/**
 * A process on a data folder, for the tests of several processes. Prints one JSON value a line.
 *
 * node embedded-child.ts COMMAND FOLDER [ARGUMENT …]; with SITU_TEST_USER it works with the rights of that user id.
 */
import { randomBytes } from 'node:crypto'
import { EmbeddedRegistry } from '../../../streams/registries/embedded.ts'
import { openEmbedded } from '../../../streams/transports/embedded/index.ts'
import type { Claim } from '../../../streams/transports/transport.ts'
import { describeError, print, runCommand } from '../../support/child-commands.ts'

await runCommand({
  /** Holds a task until it is killed. */
  async own([folder = '', task = '', topic = '']) {
    const transport = await openEmbedded(folder, { create: true })
    const tasks = [{ id: task, stage: 'stage', partition: 0, topics: [topic] }]
    await transport.join(tasks, claim => print({ epoch: claim.epoch }))
    for await (const _ of transport.read(topic, 0, 0, { follow: true }));
  },

  /** Counts upwards from the task record while it owns the task, one number a commit. */
  async work([folder = '', task = '', topic = '', records = '']) {
    const transport = await openEmbedded(folder, { create: true, retryHeldMs: 20 })
    const { promise, resolve } = Promise.withResolvers<Claim>()
    await transport.join([{ id: task, stage: 'stage', partition: 0, topics: [topic] }], resolve)
    const claim = await promise
    const stored = await transport.get(records, task)
    for (let next = Number(stored?.value ? Buffer.from(stored.value) : 0); ; next++) {
      const message = { topic, partition: 0, key: `key-${next}`, value: randomBytes(5000) }
      const record = { topic: records, partition: 0, key: task, value: Buffer.from(String(next + 1)) }
      await claim.commit([message], () => record, [])
      print({ committed: next, epoch: claim.epoch })
    }
  },

  /** Brings keys that others bring too, one a commit. */
  async bring([folder = '', topic = '', count = '0']) {
    const transport = await openEmbedded(folder, { create: true })
    let alreadyThere = 0
    for (let index = 0; index < Number(count); index++) {
      const message = { topic, partition: 0, key: `key-${index}`, value: Buffer.from(String(process.pid)) }
      alreadyThere += await transport.produce([{ ...message, ifAbsent: true }])
    }
    await transport.close()
    print({ alreadyThere })
  },

  /** Commits batches of ten until it is killed, and says how many it has committed. */
  async batches([folder = '', topic = '']) {
    const transport = await openEmbedded(folder, { create: true })
    for (let batch = 0; ; batch++) {
      const value = randomBytes(2000)
      await transport.produce(
        Array.from({ length: 10 }, (_, index) => ({ topic, partition: 0, key: `${batch} ${index}`, value })),
      )
      print({ batch })
    }
  },

  /** Writes until the disk is full, then reads what is there. */
  async fill([folder = '', topic = '']) {
    const transport = await openEmbedded(folder, { create: true })
    await transport.createTopics([{ name: topic, partitions: 1, compacted: false }])
    let committed = 0
    try {
      for (; committed < 1000; committed++) {
        await transport.produce([{ topic, partition: 0, key: String(committed), value: randomBytes(50_000) }])
      }
    } catch (error) {
      print(describeError(error))
    }
    let read = 0
    for await (const { messages } of transport.read(topic, 0, 0)) read += messages.length
    print({ committed, read })
    await transport.close()
  },

  async follow([folder = '', topic = '', count = '0']) {
    const transport = await openEmbedded(folder, { create: false, readOnly: true })
    print({ ready: true })
    const keys: (string | null)[] = []
    for await (const { messages } of transport.read(topic, 0, 0, { follow: true })) {
      keys.push(...messages.map(message => message.key))
      if (keys.length >= Number(count)) break
    }
    print({ keys })
    await transport.close()
  },

  async open([folder = '', mode = '']) {
    const transport = await openEmbedded(folder, { create: mode === 'write', readOnly: mode === 'read' })
    await transport.createTopics([{ name: 'topic', partitions: 1, compacted: false }])
    await transport.close()
    print({ code: 'none', message: '' })
  },

  async register([folder = '', ...schemas]) {
    const transport = await openEmbedded(folder, { create: true })
    const registry = new EmbeddedRegistry(transport.database)
    const ids: number[] = []
    for (const schema of schemas) ids.push(await registry.register('subject', schema))
    await transport.close()
    print({ ids })
  },
})
