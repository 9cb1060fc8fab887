import { expect, it } from 'vitest'
import type { Claim } from '../../../streams/transports/transport.ts'
import {
  claimTask,
  expectError,
  joinTask,
  keysOf,
  keysTo,
  makeCompactedTopic,
  makeTask,
  makeTopic,
  numbered,
  outgoing,
  readAll,
  type TransportFixture,
  takeMessages,
  taskRecord,
  taskState,
} from './fixture.ts'

/** Leases, fencing, and commits with the task record. */
export function testTasks(fixture: () => TransportFixture): void {
  /** An input with 10 messages, an output, and the topic of the task records. */
  async function setUp() {
    const transport = await fixture().open()
    const input = await makeTopic(transport)
    const output = await makeTopic(transport)
    const tasks = await makeCompactedTopic(transport)
    await transport.produce(numbered(input, 10))
    return { transport, input, output, tasks, task: makeTask(input) }
  }

  /** Takes messages from where the task record says, and commits one output for each. */
  async function work(
    claim: Claim,
    { transport, input, output, tasks }: Awaited<ReturnType<typeof setUp>>,
    count: number,
  ) {
    const { next } = await taskState(transport, tasks, claim.task)
    const messages = await takeMessages(claim.read(input, next, {}), count)
    const behind = (messages.at(-1)?.offset ?? -1) + 1
    await claim.commit(
      messages.map(({ key }) => outgoing(output, `made from ${key}`)),
      () => taskRecord(tasks, claim.task, { next: behind, finished: [] }),
      [{ topic: input, next: behind }],
    )
    return keysOf(messages)
  }

  it('resumes after the last commit', async () => {
    const set = await setUp()
    const { claim, member } = await claimTask(set.transport, set.task)
    expect(await work(claim, set, 4)).toEqual(keysTo(10).slice(0, 4))
    await member.leave()
    const again = await claimTask(set.transport, set.task)
    expect(await work(again.claim, set, 6)).toEqual(keysTo(10).slice(4))
    expect(keysOf(await readAll(set.transport, set.output))).toEqual(keysTo(10).map(key => `made from ${key}`))
  })

  it('delivers again what was read and not committed', async () => {
    const set = await setUp()
    const { claim, member } = await claimTask(set.transport, set.task)
    expect(await takeMessages(claim.read(set.input, 0, {}), 3)).toHaveLength(3)
    await member.leave()
    const again = await claimTask(set.transport, set.task)
    expect(await work(again.claim, set, 3)).toEqual(keysTo(3))
  })

  it('gives the task record back with its finished offsets', async () => {
    const { transport, tasks, task } = await setUp()
    const { claim } = await claimTask(transport, task)
    const state = { next: 3, finished: [5, 6, 2 ** 40] }
    await claim.commit([], () => taskRecord(tasks, task, { next: 1, finished: [] }), [])
    await claim.commit([], () => taskRecord(tasks, task, state), [])
    expect(await taskState(transport, tasks, task)).toEqual(state)
    expect(await readAll(transport, tasks).then(messages => messages.at(-1)?.key)).toBe(task.id)
  })

  it('lets two groups read one topic, each from its own place', async () => {
    const set = await setUp()
    const other = makeTask(set.input)
    const [left, right] = [await claimTask(set.transport, set.task), await claimTask(set.transport, other)]
    expect(await work(left.claim, set, 8)).toEqual(keysTo(8))
    expect(await work(right.claim, set, 2)).toEqual(keysTo(2))
    expect(await work(left.claim, set, 2)).toEqual(['key-8', 'key-9'])
  })

  it('follows the input of a claim', async () => {
    const set = await setUp()
    const { claim } = await claimTask(set.transport, set.task)
    const reading = takeMessages(claim.read(set.input, 0, {}), 11)
    await set.transport.produce([outgoing(set.input, 'later')])
    expect(keysOf(await reading)).toEqual([...keysTo(10), 'later'])
  })

  it('takes the tasks that are free, and names those that another worker holds', async () => {
    const { transport, input, task } = await setUp()
    const other = await fixture().open()
    const free = makeTask(input)
    await claimTask(transport, task)
    const taken: string[] = []
    const member = await other.join([task, free], claim => taken.push(claim.task.id))
    expect(taken).toEqual([free.id])
    expect(member.held.map(held => held.id)).toEqual([task.id])
  })

  it('gives one task to one of two memberships of the same process', async () => {
    const { transport, task } = await setUp()
    await claimTask(transport, task)
    const second = await transport.join([task], () => expect.unreachable('taken twice'))
    expect(second.held.map(held => held.id)).toEqual([task.id])
    await second.leave()
  })

  it.each(['leaves', 'releases its claim', 'closes its transport'])(
    'takes a task over when its owner %s',
    async how => {
      const { transport, task } = await setUp()
      const other = await fixture().open()
      const owner = await claimTask(transport, task)
      const { claim, joined } = joinTask(other, task)
      expect((await joined).held).toHaveLength(1)
      if (how === 'leaves') await owner.member.leave()
      else if (how === 'closes its transport') await transport.close()
      else await owner.claim.release()
      expect((await claim).epoch).toBeGreaterThan(owner.claim.epoch)
      expect((await joined).held).toEqual([])
    },
  )

  it('raises the epoch at each take-over', async () => {
    const { transport, task } = await setUp()
    const epochs: number[] = []
    for (let round = 0; round < 3; round++) {
      const { claim, member } = await claimTask(transport, task)
      epochs.push(claim.epoch)
      await member.leave()
    }
    expect(epochs).toEqual([...new Set(epochs)].sort((left, right) => left - right))
  })

  it('fences an owner whose lease has expired: its commit fails and writes nothing', async () => {
    const set = await setUp()
    const { transport, output, tasks, task } = set
    const { claim } = await claimTask(transport, task)
    const other = await fixture().open()
    await fixture().expire(task)
    const taken = await claimTask(other, task)
    const late = () =>
      claim.commit([outgoing(output, 'late')], () => taskRecord(tasks, task, { next: 9, finished: [] }), [])
    await expectError(late, 'TASK_LOST', task.id)
    await expectError(late, 'TASK_LOST', task.id)
    expect(claim.lost.aborted).toBe(true)
    expect(await readAll(transport, output)).toEqual([])
    expect(await work(taken.claim, { ...set, transport: other }, 2)).toEqual(keysTo(2))
  })

  it('ends the reader of a task that was lost', async () => {
    const { transport, input, tasks, task } = await setUp()
    const owner = await claimTask(transport, task)
    const reading = takeMessages(owner.claim.read(input, 0, {}), 1000)
    await fixture().expire(task)
    const taken = await claimTask(await fixture().open(), task)
    expect(taken.claim.epoch).toBeGreaterThan(owner.claim.epoch)
    const late = owner.claim.commit([], () => taskRecord(tasks, task, { next: 1, finished: [] }), [])
    await expectError(() => late, 'TASK_LOST')
    expect((await reading).length).toBeLessThanOrEqual(10)
  })

  it('reads through a claim only what its task reads', async () => {
    const { transport, output, task } = await setUp()
    const { claim } = await claimTask(transport, task)
    await expectError(() => takeMessages(claim.read(output, 0, {}), 1), 'OPERATOR_BUG', task.id, output)
  })

  it('ends the reader of a claim that is released, and commits nothing for it any more', async () => {
    const { transport, input, output, tasks, task } = await setUp()
    const { claim } = await claimTask(transport, task)
    const reader = claim.read(input, 0, {})[Symbol.asyncIterator]()
    expect((await reader.next()).done).toBe(false)
    const waiting = reader.next()
    await claim.release()
    await claim.release()
    expect((await waiting).done).toBe(true)
    const late = () =>
      claim.commit([outgoing(output, 'late')], () => taskRecord(tasks, task, { next: 9, finished: [] }), [])
    await expectError(late, 'TASK_LOST', task.id)
    expect(await readAll(transport, output)).toEqual([])
  })

  it('leaves twice', async () => {
    const { transport, task } = await setUp()
    const { member } = await claimTask(transport, task)
    await member.leave()
    await member.leave()
  })

  it('commits nothing of a batch with an error in its middle, and goes on after it', async () => {
    const { transport, output, tasks, task } = await setUp()
    const { claim } = await claimTask(transport, task)
    const giant = outgoing(output, 'giant', { value: new Uint8Array(transport.limits.maxMessageBytes) })
    const record = () => taskRecord(tasks, task, { next: 2, finished: [] })
    const broken = () => claim.commit([outgoing(output, 'first'), giant, outgoing(output, 'third')], record, [])
    await expectError(broken, 'RECORD_TOO_LARGE', output, 'giant')
    expect(await readAll(transport, output)).toEqual([])
    expect(await taskState(transport, tasks, task)).toEqual({ next: 0, finished: [] })
    await claim.commit([outgoing(output, 'first')], record, [])
    expect(keysOf(await readAll(transport, output))).toEqual(['first'])
    expect(await taskState(transport, tasks, task)).toEqual({ next: 2, finished: [] })
  })

  it('commits neither outputs nor state of a dedupe batch whose record can not be made', async () => {
    const { transport, output, tasks, task } = await setUp()
    const state = await makeCompactedTopic(transport)
    const { claim } = await claimTask(transport, task)
    const batch = [outgoing(state, 'kept', { value: Buffer.from('old') }), outgoing(output, 'survivor')]
    await claim.commit(batch, () => taskRecord(tasks, task, { next: 1, finished: [] }), [])
    const aborted = claim.commit([
      outgoing(state, 'kept', { value: Buffer.from('new') }),
      outgoing(state, 'other'),
      outgoing(output, 'second'),
    ], () => {
      throw new RangeError('aborted')
    }, [])
    await expect(aborted).rejects.toThrow('aborted')
    expect(keysOf(await readAll(transport, output))).toEqual(['survivor'])
    expect((await readAll(transport, state)).map(({ value }) => Buffer.from(value ?? []).toString())).toEqual(['old'])
    expect(await taskState(transport, tasks, task)).toEqual({ next: 1, finished: [] })
  })
}
