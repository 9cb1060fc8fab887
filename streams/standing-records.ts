import { SituError } from '../schemas/errors.ts'
import type { Records } from '../schemas/records.ts'
import type { Pipeline } from './pipeline.ts'
import type { Message } from './transports/transport.ts'

type Ports = Pick<Pipeline, 'transport' | 'serde'>

/** The topics that keep the newest record of each key, and are called as what they hold. */
type CompactedNoun = 'task' | 'failed' | 'variant' | 'snapshot'

/** The records of a compacted topic that stand, with their messages; what is no record is passed over. */
export async function* standingRecords<N extends CompactedNoun>(
  { transport, serde }: Ports,
  noun: N,
): AsyncGenerator<{ record: Records[N]; message: Message }> {
  for await (const message of transport.compacted(noun)) {
    const record = await serde.decodeOwn(noun, message.value)
    if (record) yield { record, message }
  }
}

/** All of them; none in a log of an earlier version, opened to be read, that does not have the topic. */
export async function readStanding<N extends CompactedNoun>(ports: Ports, noun: N): Promise<Records[N][]> {
  const records: Records[N][] = []
  try {
    for await (const { record } of standingRecords(ports, noun)) records.push(record)
  } catch (error) {
    if (!(error instanceof SituError) || error.code !== 'TOPIC_UNKNOWN') throw error
  }
  return records
}
