import { deflateRawSync, inflateRawSync } from 'node:zlib'
import kafkajs from 'kafkajs'
import type { TaskSpec } from '../transport.ts'
import { assignTasks, type Member } from './sticky-assigner.ts'

const { AssignerProtocol } = kafkajs

/** Name by which all members of a group must assign. */
export const protocolName = 'situ-sticky'
const version = 1
/** Nobody's description of itself is larger. */
const maxDescriptionBytes = 1 << 24

interface Description {
  /** Ids of the tasks that the member would take, by stage. */
  wanted: Record<string, string[]>
  /** Ids of the tasks that it has, with their epochs. */
  owned: Record<string, number>
}

/** How a member describes itself to the one that assigns. */
export function describeMember(
  topics: readonly string[],
  tasks: readonly TaskSpec[],
  owned: ReadonlyMap<string, number>,
) {
  const wanted: Record<string, string[]> = {}
  for (const { stage, id } of tasks) {
    wanted[stage] ??= []
    wanted[stage].push(id)
  }
  const description: Description = { wanted, owned: Object.fromEntries(owned) }
  return AssignerProtocol.MemberMetadata.encode({ version, topics: [...topics], userData: pack(description) })
}

export function readMember(id: string, metadata: Buffer): Member {
  const decoded = AssignerProtocol.MemberMetadata.decode(metadata)
  const { wanted, owned } = unpack(decoded?.userData ?? Buffer.of()) as Description
  const stages = Object.entries(wanted ?? {})
  return {
    id,
    wanted: new Map(stages.flatMap(([stage, ids]) => ids.map(task => [task, stage] as const))),
    owned: new Map(Object.entries(owned ?? {})),
  }
}

/** What the leader sends to each member: the ids of its tasks, and their partitions for those who look at the group. */
export function assignMembers(
  members: readonly { memberId: string; memberMetadata: Buffer }[],
  partitionsOf: (tasks: readonly string[]) => Record<string, number[]>,
): { memberId: string; memberAssignment: Buffer }[] {
  const assignment = assignTasks(members.map(({ memberId, memberMetadata }) => readMember(memberId, memberMetadata)))
  const tasks = Map.groupBy(assignment.keys(), task => assignment.get(task))
  return members.map(({ memberId }) => {
    const ids = tasks.get(memberId) ?? []
    const userData = pack(ids)
    const assigned = { version, assignment: partitionsOf(ids), userData }
    return { memberId, memberAssignment: AssignerProtocol.MemberAssignment.encode(assigned) }
  })
}

export function readAssignment(bytes: Buffer): string[] {
  const decoded = bytes.length === 0 ? null : AssignerProtocol.MemberAssignment.decode(bytes)
  return (unpack(decoded?.userData ?? Buffer.of()) as string[] | null) ?? []
}

/** Partitions by topic of some tasks. */
export function partitionsOf(
  tasks: readonly TaskSpec[],
  wireName: (topic: string) => string,
): Record<string, number[]> {
  const partitions: Record<string, number[]> = {}
  for (const { topics, partition } of tasks) {
    for (const topic of topics.map(wireName)) {
      partitions[topic] ??= []
      if (!partitions[topic].includes(partition)) partitions[topic].push(partition)
    }
  }
  return partitions
}

function pack(value: unknown): Buffer {
  return deflateRawSync(JSON.stringify(value))
}

function unpack(bytes: Buffer): unknown {
  return bytes.length === 0
    ? null
    : JSON.parse(inflateRawSync(bytes, { maxOutputLength: maxDescriptionBytes }).toString())
}
