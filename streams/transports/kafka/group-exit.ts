import type { Brokers } from './brokers.ts'
import { brokerNames } from './options.ts'

/**
 * Takes the members of a worker out of the group of workers.
 *
 * They are found by the client id, since who asked to join knows no member id before the group has answered.
 *
 * @param brokers - With connections of which none waits for the group: a broker answers one request after the other.
 * @param workerId - With which the client id of the worker ends.
 * @returns How many there were.
 * @throws {SituError} BROKER_*
 */
export function takeOut(brokers: Brokers, prefix: string, workerId: string, signal?: AbortSignal): Promise<number> {
  const groupId = brokerNames.workers(prefix)
  const work = async () => {
    const coordinator = await brokers.coordinator('group', groupId)
    const { groups } = await coordinator.describeGroups({ groupIds: [groupId] })
    const own = groups.flatMap(({ members }) => members.filter(({ clientId }) => clientId.endsWith(workerId)))
    for (const { memberId } of own) await coordinator.leaveGroup({ groupId, memberId })
    return own.length
  }
  return brokers.call(`group ${groupId}: members`, work, signal && { signal })
}
