import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Brokers } from '../../../../streams/transports/kafka/brokers.ts'
import { type ClaimPorts, KafkaClaim } from '../../../../streams/transports/kafka/claim.ts'
import { GroupMember } from '../../../../streams/transports/kafka/group-member.ts'
import { KafkaMetrics } from '../../../../streams/transports/kafka/metrics.ts'
import { settingsOf } from '../../../../streams/transports/kafka/options.ts'
import type { TaskSpec } from '../../../../streams/transports/transport.ts'
import { kafkaServices } from '../../../support/kafka.ts'
import { KafkaFixture } from '../kafka-fixture.ts'

const tasks: TaskSpec[] = [0, 1].map(partition => ({
  id: `main-toy-${partition}`,
  stage: 'toy',
  partition,
  topics: ['article'],
}))

let fixture: KafkaFixture
let opened: Brokers[]
beforeEach(() => {
  fixture = new KafkaFixture()
  opened = []
})
afterEach(async () => {
  for (const brokers of opened) await brokers.close()
  await fixture.close()
})

/** A member whose take-overs wait for `fenced`. */
function createMember(fenced: Promise<void>) {
  const { prefix } = fixture
  const settings = settingsOf({ brokers: kafkaServices().brokers, prefix, heartbeatMs: 100 })
  const asking = new Brokers(fixture.kafka, settings)
  opened.push(asking)
  const taken = new Set<string>()
  let asked = 0
  const metrics = new KafkaMetrics()
  const member: GroupMember = new GroupMember(tasks, {
    brokers: new Brokers(fixture.kafka, settings),
    asking,
    hangUp: () => {},
    workerId: randomUUID(),
    settings,
    roll: null,
    metrics,
    takeOver: async task => {
      asked++
      await fenced
      const ports = { metrics, onEnd: (claim: KafkaClaim) => member.ended(claim, claim.lost.aborted) }
      return new KafkaClaim(task, asked, ports as ClaimPorts)
    },
    assigned: claim => {
      taken.add(claim.task.id)
      claim.lost.addEventListener('abort', () => taken.delete(claim.task.id))
    },
  })
  return { member, taken, metrics, asked: () => asked }
}

it('takes a task again that went to another while it was being taken over', async () => {
  const fenced = Promise.withResolvers<void>()
  const slow = createMember(fenced.promise)
  const started = slow.member.start()
  await expect.poll(slow.asked, { timeout: 10_000 }).toBe(2)
  const other = createMember(Promise.resolve())
  await other.member.start()
  await expect.poll(() => slow.metrics.rebalances, { timeout: 10_000 }).toBeGreaterThan(1)
  expect(other.taken.size).toBeGreaterThan(0)
  fenced.resolve()
  await started
  await expect.poll(() => slow.taken.size + other.taken.size, { timeout: 10_000 }).toBe(2)
  await other.member.leave()
  await expect.poll(() => slow.taken.size, { timeout: 10_000 }).toBe(2)
  expect(slow.member.held).toEqual([])
  await slow.member.leave()
})
