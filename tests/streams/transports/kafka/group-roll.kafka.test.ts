import { readdirSync } from 'node:fs'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { KafkaOptions } from '../../../../streams/transports/kafka/index.ts'
import { Child, killChildren } from '../../../support/child.ts'
import { kafkaServices } from '../../../support/kafka.ts'
import { removeFolder, temporaryFolder } from '../../../support/situ.ts'
import { KafkaFixture } from '../kafka-fixture.ts'

const script = new URL('joining-child.ts', import.meta.url).pathname
/** Far beyond the time that a test has: what is found out, is found out in another way. */
const timeouts = { sessionTimeoutMs: 300_000, rebalanceTimeoutMs: 300_000 }
const tasks = [0, 1, 2].map(partition => ({
  id: `main-toy-${partition}`,
  stage: 'toy',
  partition,
  topics: ['article'],
}))

let fixture: KafkaFixture
let folder: string
beforeEach(() => {
  fixture = new KafkaFixture()
  folder = temporaryFolder()
})
afterEach(async () => {
  killChildren()
  await fixture.close()
  removeFolder(folder)
})

function options(): KafkaOptions {
  const { brokers } = kafkaServices()
  return { brokers, prefix: fixture.prefix, heartbeatMs: 100, ...timeouts, rollFolder: folder }
}

function startChild(): Child {
  return new Child(script, [JSON.stringify(options()), JSON.stringify(tasks)])
}

/** Joins in this process; the tasks that it has. */
async function join() {
  const transport = await fixture.open(options())
  const taken = new Set<string>()
  const membership = await transport.join(tasks, ({ task, lost }) => {
    taken.add(task.id)
    lost.addEventListener('abort', () => taken.delete(task.id))
  })
  return { transport, taken, leave: () => membership.leave() }
}

it('gives the tasks of a killed worker to others of its machine long before its session ends', async () => {
  const child = startChild()
  for (const _ of tasks) await child.next()
  const [one, two] = [await join(), await join()]
  await child.kill()
  await expect.poll(() => one.taken.union(two.taken).size, { timeout: 20_000 }).toBe(tasks.length)
  // Nobody has struck out one that lives.
  expect([one.transport.metrics.restarts, two.transport.metrics.restarts]).toEqual([0, 0])
  await one.leave()
  await two.leave()
  expect(readdirSync(folder)).toEqual([])
})

it('lets a worker join that comes after all others were killed', async () => {
  const children = [startChild(), startChild()]
  for (const child of children) await child.next()
  for (const child of children) await child.kill()
  const { taken } = await join()
  expect(taken.size).toBe(tasks.length)
})

it('lets a worker join whose others were killed while the group was assigning anew', async () => {
  const children = [startChild(), startChild(), startChild()]
  for (const child of children) await child.next()
  const [first, ...others] = children
  await first?.kill()
  const joining = join()
  for (const child of others) await child.kill()
  const { taken } = await joining
  await expect.poll(() => taken.size, { timeout: 20_000 }).toBe(tasks.length)
})

it('lets a worker leave that waits to join, so that nobody waits for it', async () => {
  const silent = startChild()
  for (const _ of tasks) await silent.next()
  silent.stop()
  const transport = await fixture.open(options())
  // Until the silent one has answered, for which the group has 300 s.
  const joining = transport.join(tasks, () => {})
  joining.catch(() => {})
  await expect.poll(() => fixture.memberCount(), { timeout: 20_000 }).toBe(2)
  await transport.close()
  expect(await fixture.memberCount()).toBe(1)
})
