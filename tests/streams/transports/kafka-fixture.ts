import { randomUUID } from 'node:crypto'
import kafkajs, { type Admin, Kafka } from 'kafkajs'
import { readMember } from '../../../streams/transports/kafka/group-protocol.ts'
import { type KafkaOptions, type KafkaTransport, openKafka } from '../../../streams/transports/kafka/index.ts'
import { brokerNames, wait } from '../../../streams/transports/kafka/options.ts'
import { openCluster } from '../../../streams/transports/kafka/wire.ts'
import type { TaskSpec } from '../../../streams/transports/transport.ts'
import { kafkaServices } from '../../support/kafka.ts'

interface Opened {
  transport: KafkaTransport | null
  /** What the heartbeats of its members wait for. */
  silence: PromiseWithResolvers<void> | null
}

/** Topics, tasks and groups on the broker of the test run that no other test sees, and the means to disturb them. */
export class KafkaFixture {
  readonly prefix = `test-${randomUUID().slice(0, 8)}`
  readonly kafka: Kafka
  readonly #opened = new Map<string, Opened>()
  readonly #ending = Promise.withResolvers<void>()
  #admin: Admin | null = null

  constructor() {
    const { brokers } = kafkaServices()
    this.kafka = new Kafka({ brokers: [...brokers], logLevel: kafkajs.logLevel.NOTHING })
  }

  async open(options: Partial<KafkaOptions> = {}): Promise<KafkaTransport> {
    const clientId = randomUUID()
    const opened: Opened = { transport: null, silence: null }
    const transport = await openKafka({
      brokers: kafkaServices().brokers,
      prefix: this.prefix,
      clientId,
      topicSettings: { maxMessageBytes: 4 << 20 },
      heartbeatMs: 100,
      pause: async (ms, signal) => {
        await wait(ms, signal)
        if (opened.silence) await Promise.race([opened.silence.promise, this.#ending.promise])
      },
      ...options,
    })
    opened.transport = transport
    this.#opened.set(clientId, opened)
    return transport
  }

  async admin(): Promise<Admin> {
    if (!this.#admin) {
      this.#admin = this.kafka.admin()
      await this.#admin.connect()
    }
    return this.#admin
  }

  get groupId(): string {
    return brokerNames.workers(this.prefix)
  }

  /** A transport's members send no heartbeat any more, and do not notice. */
  silence(transport: KafkaTransport): void {
    const opened = this.#find(transport)
    if (opened) opened.silence ??= Promise.withResolvers<void>()
  }

  /** Ends its silence. */
  speak(transport: KafkaTransport): void {
    const opened = this.#find(transport)
    opened?.silence?.resolve()
    if (opened) opened.silence = null
  }

  #find(transport: KafkaTransport): Opened | undefined {
    return [...this.#opened.values()].find(one => one.transport === transport)
  }

  async memberCount(): Promise<number> {
    const { groups } = await (await this.admin()).describeGroups([this.groupId])
    return groups[0]?.members.length ?? 0
  }

  /** The owner of the task falls silent, and the group drops it, as at the end of its session. */
  async expire({ id }: TaskSpec): Promise<void> {
    const { groups } = await (await this.admin()).describeGroups([this.groupId])
    const members = groups[0]?.members ?? []
    for (const { memberId, memberMetadata, clientId } of members) {
      if (!readMember(memberId, memberMetadata).wanted.has(id)) continue
      const [, owner] = [...this.#opened].find(([own]) => clientId.startsWith(own)) ?? []
      if (owner?.transport) this.silence(owner.transport)
      const cluster = openCluster(this.kafka)
      await cluster.connect()
      await cluster.refreshMetadata()
      const coordinator = await cluster.findGroupCoordinator({ groupId: this.groupId, coordinatorType: 0 })
      await coordinator.leaveGroup({ groupId: this.groupId, memberId })
      await cluster.disconnect()
    }
  }

  async close(): Promise<void> {
    this.#ending.resolve()
    await Promise.all([...this.#opened.values()].map(({ transport }) => transport?.close()))
    await this.#admin?.disconnect()
  }
}
