import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { KafkaTransport } from '../../../streams/transports/kafka/index.ts'
import type { Claim, TaskSpec } from '../../../streams/transports/transport.ts'
import {
  claimTask,
  expectError,
  keysOf,
  keysTo,
  makeCompactedTopic,
  makeTask,
  makeTopic,
  numbered,
  outgoing,
  readAll,
  takeMessages,
  taskRecord,
  taskState,
} from '../../contracts/transport/fixture.ts'
import { FaultySockets, requests } from './faulty-sockets.ts'
import { KafkaFixture } from './kafka-fixture.ts'

let fixture: KafkaFixture
let sockets: FaultySockets
beforeEach(() => {
  fixture = new KafkaFixture()
  sockets = new FaultySockets()
})
afterEach(async () => {
  sockets.up()
  await fixture.close()
})

async function setUp(options: Parameters<KafkaFixture['open']>[0] = {}) {
  const transport = await fixture.open({ socketFactory: sockets.factory, ...options })
  const [input, output] = [await makeTopic(transport), await makeTopic(transport)]
  const tasks = await makeCompactedTopic(transport)
  await transport.produce(numbered(input, 10))
  return { transport, input, output, tasks, task: makeTask(input) }
}

function commit(claim: Claim, task: TaskSpec, output: string, tasks: string, next: number): Promise<void> {
  const record = () => taskRecord(tasks, task, { next, finished: [] })
  return claim.commit([outgoing(output, `out-${next}`)], record, [{ topic: task.topics[0] ?? '', next }])
}

describe('a commit', () => {
  const cases = [
    ['its partitions are never added', requests.addPartitionsToTransaction, 'lost'],
    ['its messages never leave', requests.produce, 'lost'],
    ['its messages are not answered', requests.produce, 'unanswered'],
    ['its end never leaves', requests.endTransaction, 'lost'],
    ['its end is not answered', requests.endTransaction, 'unanswered'],
  ] as const

  it.each(cases)('is written once where %s', async (_how, request, when) => {
    const { transport, output, tasks, task } = await setUp()
    const { claim } = await claimTask(transport, task)
    await commit(claim, task, output, tasks, 1)
    const broken = sockets.break(request, when)
    await commit(claim, task, output, tasks, 2)
    await broken
    await commit(claim, task, output, tasks, 3)
    expect(keysOf(await readAll(transport, output))).toEqual(['out-1', 'out-2', 'out-3'])
    expect(await taskState(transport, tasks, task)).toEqual({ next: 3, finished: [] })
    expect(transport.metrics.commits).toBe(3)
    expect(transport.metrics.commitRetries).toBe(1)
    expect(claim.lost.aborted).toBe(false)
  })

  it('is written once where its end is broken again and again', async () => {
    const { transport, output, tasks, task } = await setUp()
    const { claim } = await claimTask(transport, task)
    void sockets.break(requests.endTransaction, 'lost', 3)
    await commit(claim, task, output, tasks, 1)
    expect(keysOf(await readAll(transport, output))).toEqual(['out-1'])
  })

  it('waits while all brokers are down, says so, and is written once', async () => {
    const warnings: string[] = []
    const log = { debug: () => {}, warn: (_: unknown, text?: string) => void warnings.push(text ?? '') }
    const { transport, output, tasks, task } = await setUp({ log: log as never })
    const { claim } = await claimTask(transport, task)
    sockets.down()
    const waiting = commit(claim, task, output, tasks, 1)
    await expect.poll(() => warnings.join('\n'), { timeout: 15_000 }).toContain('no broker has answered')
    sockets.up()
    await waiting
    expect(keysOf(await readAll(transport, output))).toEqual(['out-1'])
  })

  it('of one who was silent too long neither is written nor puts the new owner out', async () => {
    const { transport, output, tasks, task } = await setUp()
    const old = await claimTask(transport, task)
    await fixture.expire(task)
    const other = await fixture.open()
    const { claim } = await claimTask(other, task)
    await commit(claim, task, output, tasks, 1)
    // A network error, not a fence: it must ask the group before it fences by itself.
    void sockets.break(requests.addPartitionsToTransaction, 'lost')
    const late = commit(old.claim, task, output, tasks, 9)
    await commit(claim, task, output, tasks, 2)
    fixture.speak(transport)
    await expectError(() => late, 'TASK_LOST', task.id)
    await commit(claim, task, output, tasks, 3)
    expect(keysOf(await readAll(other, output))).toEqual(['out-1', 'out-2', 'out-3'])
  })

  it('that was cut off before its end is undone by the next owner, who waits for nobody', async () => {
    const { transport, output, tasks, task } = await setUp()
    const old = await claimTask(transport, task)
    await commit(old.claim, task, output, tasks, 1)
    const broken = sockets.break(requests.endTransaction, 'lost', 1)
    fixture.silence(transport)
    const cut = commit(old.claim, task, output, tasks, 2)
    await broken
    await fixture.expire(task)
    const other = await fixture.open()
    const { claim } = await claimTask(other, task)
    expect(await taskState(other, tasks, task)).toEqual({ next: 1, finished: [] })
    await commit(claim, task, output, tasks, 3)
    expect(keysOf(await readAll(other, output))).toEqual(['out-1', 'out-3'])
    fixture.speak(transport)
    await expectError(() => cut, 'TASK_LOST')
  })

  it('that nobody ends hides what others have written for the time of a transaction only', async () => {
    // The broker looks for transactions whose time is over every 10 s.
    const { transport, output, tasks, task } = await setUp({ transactionTimeoutMs: 1000, sessionTimeoutMs: 30_000 })
    const { claim } = await claimTask(transport, task)
    const broken = sockets.break(requests.endTransaction, 'lost', 1)
    const cut = commit(claim, task, output, tasks, 1)
    await broken
    sockets.down()
    const other = await fixture.open()
    const reading = takeMessages(other.read(output, 0, 0, { follow: true }), 1)
    await other.produce([outgoing(output, 'other')])
    expect(keysOf(await reading)).toEqual(['other'])
    sockets.up()
    await cut
    expect(keysOf(await readAll(other, output))).toEqual(['other', 'out-1'])
  })

  it('waits for the one before it, however many are asked for at once', async () => {
    const { transport, output, tasks, task } = await setUp()
    const { claim } = await claimTask(transport, task)
    const numbers = Array.from({ length: 30 }, (_, number) => number + 1)
    await Promise.all(numbers.map(number => commit(claim, task, output, tasks, number)))
    expect(keysOf(await readAll(transport, output))).toEqual(numbers.map(number => `out-${number}`))
    expect(await taskState(transport, tasks, task)).toEqual({ next: 30, finished: [] })
  })
})

describe('writing outside a task', () => {
  it.each(['lost', 'unanswered'] as const)('is done once where the end of the transaction is %s', async when => {
    const { transport, output } = await setUp()
    void sockets.break(requests.endTransaction, when)
    await transport.produce(numbered(output, 3))
    await transport.produce([outgoing(output, 'later')])
    expect(keysOf(await readAll(transport, output))).toEqual([...keysTo(3), 'later'])
  })
})

describe('reading', () => {
  it('goes on where all connections break, and after an outage', async () => {
    const { transport, input } = await setUp()
    const writer = await fixture.open()
    const reading = takeMessages(transport.read(input, 0, 0, { follow: true }), 12)
    await writer.produce([outgoing(input, 'one')])
    sockets.down()
    await writer.produce([outgoing(input, 'two')])
    sockets.up()
    expect(keysOf(await reading)).toEqual([...keysTo(10), 'one', 'two'])
  })
})

describe('a broker whose first answer comes too late', () => {
  it('is asked again over a new connection', async () => {
    const { transport, input } = await setUp({ requestTimeoutMs: 500 })
    const ignored = sockets.break(requests.apiVersions, 'ignored')
    // The first to wait at the end of a partition opens connections of its own.
    const messages = takeMessages(transport.read(input, 0, 0, { follow: true }), 11)
    await ignored
    await transport.produce([outgoing(input, 'late')])
    expect((await messages).map(({ key }) => key)).toContain('late')
  })

  it('does not keep the transport from opening', async () => {
    // Those of the transport itself, and of its questions about topics.
    const ignored = sockets.break(requests.apiVersions, 'ignored', 3)
    await setUp({ requestTimeoutMs: 500 })
    await ignored
  })
})

describe('membership', () => {
  it('keeps its tasks through a short outage', async () => {
    const { transport, output, tasks, task } = await setUp()
    const { claim } = await claimTask(transport, task)
    await expect.poll(() => transport.metrics.lastHeartbeat ?? 0).toBeGreaterThan(0)
    sockets.down()
    const before = transport.metrics.lastHeartbeat ?? 0
    const waiting = commit(claim, task, output, tasks, 0)
    sockets.up()
    await expect.poll(() => transport.metrics.lastHeartbeat ?? 0).toBeGreaterThan(before)
    await waiting
    await commit(claim, task, output, tasks, 1)
    expect(claim.lost.aborted).toBe(false)
  })

  it('loses its tasks where the group has forgotten it, and takes them anew', async () => {
    const { transport, output, tasks, task } = await setUp()
    const claims: Claim[] = []
    await transport.join([task], claim => claims.push(claim))
    await fixture.expire(task)
    fixture.speak(transport)
    await expect.poll(() => claims.length, { timeout: 10_000 }).toBe(2)
    const [first, second] = claims
    expect(first?.lost.aborted).toBe(true)
    expect(transport.metrics.restarts).toBe(1)
    if (!first || !second) throw new Error('two claims')
    await expectError(() => commit(first, task, output, tasks, 1), 'TASK_LOST')
    await commit(second, task, output, tasks, 2)
    expect(keysOf(await readAll(transport, output))).toEqual(['out-2'])
  })

  it('moves a killed worker’s tasks within two sessions', async () => {
    const { transport, task } = await setUp()
    await claimTask(transport, task)
    fixture.silence(transport)
    const other = await fixture.open()
    await claimTask(other, task)
  })

  it('ends in time where it is left at once, and where no broker answers', async () => {
    const { transport, task } = await setUp()
    const joining = transport.join([task], () => {})
    await closeIn(transport, 8000)
    await joining.catch(() => {})
    const other = await fixture.open({ socketFactory: sockets.factory })
    await other.join([task], () => {})
    sockets.down()
    await closeIn(other, 8000)
  })
})

async function closeIn(transport: KafkaTransport, ms: number): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`not closed in ${ms} ms`)), ms)
  await Promise.race([transport.close(), promise])
  clearTimeout(timer)
}
