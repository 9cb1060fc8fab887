import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import type { ErrorCode } from '../../../schemas/errors.ts'
import type {
  Batch,
  Claim,
  Membership,
  Message,
  OutgoingMessage,
  ReadOptions,
  TaskSpec,
  Transport,
} from '../../../streams/transports/transport.ts'

/** One log, and what a test needs to play several processes on it. */
export interface TransportFixture {
  /** A transport of its own, as another process has it. The fixture closes those that the test leaves open. */
  open(): Promise<Transport>
  /** Lets a living owner's lease of the task expire, as where it was silent for too long. */
  expire(task: TaskSpec): Promise<void>
  close(): Promise<void>
}

export interface TransportSuite {
  name: Transport['name']
  create(): Promise<TransportFixture>
  /** It has an index of keys: `ifAbsent` leaves out what is there, and `topics` counts. */
  indexesKeys: boolean
}

/** Topics and tasks of one name are never used twice: a broker may be shared by all tests. */
export function uniqueName(noun: string): string {
  return `${noun}-${randomUUID().slice(0, 8)}`
}

export async function makeTopic(transport: Transport, partitions = 1): Promise<string> {
  const name = uniqueName('topic')
  await transport.createTopics([{ name, partitions, compacted: false }])
  return name
}

export async function makeCompactedTopic(transport: Transport, partitions = 1): Promise<string> {
  const name = uniqueName('compacted')
  await transport.createTopics([{ name, partitions, compacted: true }])
  return name
}

export function makeTask(topic: string, partition = 0): TaskSpec {
  return { id: `${uniqueName('group')}-main-stage-${partition}`, stage: 'stage', partition, topics: [topic] }
}

/** A message to partition 0 whose value is its key, unless told otherwise. */
export function outgoing(topic: string, key: string, rest: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return { topic, partition: 0, key, value: Buffer.from(key), ...rest }
}

export function numbered(topic: string, count: number, rest: Partial<OutgoingMessage> = {}): OutgoingMessage[] {
  return Array.from({ length: count }, (_, index) => outgoing(topic, `key-${index}`, rest))
}

/** Keys of numbered messages. */
export function keysTo(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `key-${index}`)
}

export function keysOf(messages: readonly Message[]): (string | null)[] {
  return messages.map(message => message.key)
}

export function textOf(message: Message | null | undefined): string | null {
  return message?.value ? Buffer.from(message.value).toString() : null
}

/** What lies in a partition, from an offset to the end. */
export async function readAll(
  transport: Transport,
  topic: string,
  { partition = 0, from = 0, ...options }: ReadOptions & { partition?: number; from?: number } = {},
): Promise<Message[]> {
  const messages: Message[] = []
  for await (const batch of transport.read(topic, partition, from, options)) messages.push(...batch.messages)
  return messages
}

/** The next messages of a reader that follows; it then ends. */
export async function takeMessages(reader: AsyncIterable<Batch>, count: number): Promise<Message[]> {
  const messages: Message[] = []
  for await (const batch of reader) {
    messages.push(...batch.messages)
    if (messages.length >= count) break
  }
  return messages.slice(0, count)
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** Resolves when the task is taken, which may be long after the join. */
export function joinTask(transport: Transport, task: TaskSpec): { claim: Promise<Claim>; joined: Promise<Membership> } {
  const { promise: claim, resolve } = Promise.withResolvers<Claim>()
  return { claim, joined: transport.join([task], resolve) }
}

export async function claimTask(transport: Transport, task: TaskSpec): Promise<{ claim: Claim; member: Membership }> {
  const { claim, joined } = joinTask(transport, task)
  const member = await joined
  return { claim: await claim, member }
}

/** A task record: where to go on, and which offsets beyond it are finished. */
export interface TaskState {
  next: number
  finished: number[]
}

export function taskRecord(topic: string, task: TaskSpec, state: TaskState): OutgoingMessage {
  return outgoing(topic, task.id, { value: Buffer.from(JSON.stringify(state)) })
}

export async function taskState(transport: Transport, topic: string, task: TaskSpec): Promise<TaskState> {
  const text = textOf(await transport.get(topic, task.id))
  return text === null ? { next: 0, finished: [] } : (JSON.parse(text) as TaskState)
}

/** Expects a SituError with this code whose message names all of these. */
export async function expectError(work: () => unknown, code: ErrorCode, ...named: (string | number)[]): Promise<void> {
  const error: unknown = await (async () => work())().then(
    () => null,
    thrown => thrown,
  )
  expect(error).toMatchObject({ name: 'SituError', code })
  for (const part of named) expect((error as Error).message).toContain(String(part))
}
