import { hash } from '../../operators/hash.ts'
import type { ErrorCode } from '../../schemas/errors.ts'
import type { Counters, Evidence, Failed, Noun, Records, Task, Work } from '../../schemas/records.ts'
import type { Serde } from '../../schemas/serde.ts'
import type { Clock } from '../clock.ts'
import { cutEvidence, makeEvidence } from '../evidence.ts'
import type { InputFault, InputItem } from '../inputs/read-inputs.ts'
import type { OutgoingMessage, Transport } from '../transports/transport.ts'
import { type IngestNoun, ingestRecords } from './ingest-records.ts'

/** Stage of the task records of ingests. */
export const ingestStage = 'ingest'

/** Whether what a record was made from is an ingest, and no record. */
export function isIngest(parent: string): boolean {
  return parent.startsWith(`${ingestStage}-`)
}

export interface IngestPorts {
  transport: Pick<Transport, 'produce' | 'limits'>
  serde: Serde
  clock: Clock
  topicName: (noun: Noun) => string
  partitionOf: <N extends Noun>(noun: N, record: Records[N]) => number
}

/** Makes the messages of one ingest. */
export class IngestMessages {
  /** Of the task record, and parent of all that it writes. */
  readonly id: string
  readonly #ports: IngestPorts
  readonly #as: IngestNoun

  constructor(ports: IngestPorts, name: string, as: IngestNoun) {
    this.id = `${ingestStage}-${name}`
    this.#ports = ports
    this.#as = as
  }

  /** @returns With the code of a fault; of an item that is too large, too. */
  of(event: InputItem | InputFault): { code: ErrorCode | null; message: OutgoingMessage } {
    if (event.kind === 'fault') return { code: event.code, message: this.#deadLetter(event) }
    const noun = this.#as
    const message = { ...this.#message(noun, ingestRecords[noun](event)), parent: this.id }
    const [bytes, limit] = [bytesOf(message), this.#limit]
    if (bytes <= limit) return { code: null, message }
    const fault: InputFault = {
      kind: 'fault',
      code: 'RECORD_TOO_LARGE',
      message: `${event.source}: ${bytes} bytes as a record are more than the ${limit} that the transport takes`,
      place: event.place,
      evidence: Buffer.from(event.content),
      source: event.source,
    }
    return { code: fault.code, message: this.#deadLetter(fault) }
  }

  get #limit(): number {
    const { maxMessageBytes, maxCommitBytes } = this.#ports.transport.limits
    return Math.min(maxMessageBytes, maxCommitBytes)
  }

  #deadLetter(fault: InputFault): OutgoingMessage {
    const failed = this.#failed(fault)
    const message = this.#message('failed', failed)
    if (bytesOf(message) <= this.#limit) return message
    return this.#message('failed', { ...failed, evidence: cutEvidence(failed.evidence) })
  }

  #failed(fault: InputFault): Failed {
    const kind: Evidence['kind'] = fault.evidence ? 'bytes' : 'none'
    const evidence = makeEvidence(fault.evidence ?? '', kind, fault.whole)
    return {
      id: hash('ingest', fault.source, fault.code, evidence.sha256),
      operator: 'ingest',
      code: fault.code,
      message: fault.message,
      input: null,
      attempts: 1,
      evidence,
      source: fault.source,
      place: null,
      value: null,
      provenance: null,
      time: this.#ports.clock.now(),
      variant: 'main',
    }
  }

  /** @param work - What the ingest has done so far, this commit included. */
  task(counters: Counters, work: Work): OutgoingMessage {
    const task: Task = {
      id: this.id,
      stage: ingestStage,
      partition: 0,
      epoch: 0,
      configuration: null,
      positions: [],
      counters,
      time: this.#ports.clock.now(),
      variant: 'main',
      work,
    }
    return { ...this.#message('task', task), ifAbsent: false }
  }

  #message<N extends Noun>(noun: N, record: Records[N]): OutgoingMessage {
    const { serde, topicName, partitionOf } = this.#ports
    const { value, shared } = serde.encode(noun, record)
    const [topic, partition] = [topicName(noun), partitionOf(noun, record)]
    return { topic, partition, key: record.id, value, shared, ifAbsent: true }
  }
}

function bytesOf({ key, value }: OutgoingMessage): number {
  return key.length + (value?.length ?? 0)
}
