import { messageOf, SituError } from '../../../schemas/errors.ts'
import type { TaskSpec, TopicSpec } from '../transport.ts'
import { readRelease } from './broker-version.ts'
import { Brokers } from './brokers.ts'
import { createClient } from './client.ts'
import { type KafkaOptions, type Settings, settingsOf } from './options.ts'
import { type MissingRight, missingTopicRights, missingWorkerRights, namesOf } from './rights.ts'
import { Sockets } from './sockets.ts'
import { TopicAdmin, type TopicDifference } from './topic-admin.ts'

/** What was found at the brokers. */
export interface Examination {
  /** Releases by the number of the broker, such as `4.1`. */
  releases: ReadonlyMap<string, string>
  missingRights: MissingRight[]
  /** Null where the user may not see the settings of all topics. */
  differences: TopicDifference[] | null
  /** Why missing topics could not be made; null where they could, or none is missing. */
  notMakeable: string | null
}

/**
 * Looks at brokers, rights and topics, and changes nothing.
 *
 * @param tasks - What the workers would work.
 * @throws {SituError} BROKER_UNREACHABLE, BROKER_AUTHENTICATION
 */
export async function examineKafka(
  options: KafkaOptions,
  specs: readonly TopicSpec[],
  tasks: readonly TaskSpec[],
): Promise<Examination> {
  const wanted = settingsOf(options)
  // Who asks for an examination does not want to wait for the end of an outage.
  const settings = { ...wanted, outageMs: wanted.connectTimeoutMs }
  const sockets = new Sockets(settings.socketFactory)
  const kafka = createClient(settings, sockets.factory)
  const brokers = new Brokers(kafka, settings)
  const admin = new TopicAdmin(kafka, brokers, settings.prefix, settings.topicSettings)
  try {
    return await examine(brokers, admin, settings, specs, tasks)
  } finally {
    await admin.close()
    await brokers.close()
    sockets.close()
  }
}

async function examine(
  brokers: Brokers,
  admin: TopicAdmin,
  { brokers: addresses, prefix }: Settings,
  specs: readonly TopicSpec[],
  tasks: readonly TaskSpec[],
): Promise<Examination> {
  const readReleases = async () => {
    const all = await brokers.all()
    return Promise.all(all.map(async broker => [String(broker.nodeId), await readRelease(broker)] as const))
  }
  const releases = new Map(await brokers.call(`brokers ${addresses.join(', ')}`, readReleases))
  const names = specs.map(({ name }) => brokers.wireName(name))
  const { missing, absent } = await missingTopicRights(brokers, names)
  const missingRights = [...missing, ...(await missingWorkerRights(brokers, namesOf(tasks, prefix)))]
  const isHidden = missing.some(({ rights }) => rights.includes('DescribeConfigs'))
  const missingSpecs = specs.filter(({ name }) => absent.includes(brokers.wireName(name)))
  return {
    releases,
    missingRights,
    differences: isHidden ? null : await admin.differences(specs),
    notMakeable: missingSpecs.length === 0 ? null : await refusalOf(() => admin.tryCreate(missingSpecs)),
  }
}

async function refusalOf(work: () => Promise<void>): Promise<string | null> {
  try {
    await work()
    return null
  } catch (error) {
    if (error instanceof SituError && error.code === 'BROKER_UNREACHABLE') throw error
    return messageOf(error)
  }
}
