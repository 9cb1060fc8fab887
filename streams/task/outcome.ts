import { hash } from '../../operators/hash.ts'
import { openingOf } from '../../operators/opening.ts'
import type { Draft, Drop } from '../../operators/operator.ts'
import { messageOf, SituError } from '../../schemas/errors.ts'
import { type Noun, type Place, type Provenance, type Records, schemas } from '../../schemas/records.ts'
import type { Serde } from '../../schemas/serde.ts'
import { mainVariant, partitionOf, type Stage } from '../chain/topology.ts'
import type { Clock } from '../clock.ts'
import { cutEvidence, evidenceLimitBytes, makeEvidence } from '../evidence.ts'
import type { OutgoingMessage } from '../transports/transport.ts'
import { isReplyAtFault, type Samples } from './samples.ts'
import type { StageBinding } from './stage-binding.ts'
import type { Counted, Result } from './task-record.ts'
import type { Sample } from './work-context.ts'

/** What became of one input, and what is to be written of it. */
export interface Outcome extends Counted {
  messages: OutgoingMessage[]
  /** How its outputs begin, where they are made instructions. */
  openings?: readonly string[]
}

export interface OutcomePorts {
  binding: StageBinding
  serde: Serde
  clock: Clock
  /** Partitions of the topics written to. */
  partitions: number
  maxMessageBytes: number
}

/** Makes the outcome of one record: the messages to write, and what is counted. */
export class OutcomeWriter {
  readonly #ports: OutcomePorts
  readonly #binding: StageBinding
  readonly #place: Place
  readonly #samples: Samples

  /** @param place - Of the record; its id may be filled in later. */
  constructor(ports: OutcomePorts, place: Place, samples: Samples) {
    this.#ports = ports
    this.#binding = ports.binding
    this.#place = place
    this.#samples = samples
  }

  done(drafts: readonly Draft<Noun>[]): Outcome {
    const { stage } = this.#binding
    if (drafts.length === 0) {
      throw new SituError('OPERATOR_BUG', `${stage.name}: returned no record and no drop`)
    }
    const noun = stage.operator.to
    const made = new Map<Sample, { provenance: Provenance | null; count: number }>()
    const messages = drafts.map(draft => {
      const sample = this.#samples.of(draft)
      const lost = made.size === 0 ? this.#samples.lost : []
      const own = made.get(sample) ?? { provenance: sample.recorder?.provenance(null, lost) ?? null, count: 0 }
      made.set(sample, own)
      const id = this.#binding.outputId(this.#place.id ?? '', sample.demonstrations, sample.number, own.count++)
      const record: Record<string, unknown> = { ...draft, id }
      if (hasInput(noun)) record.input = this.#place
      if (own.provenance) record[stage.operator.provenanceField ?? 'provenance'] = own.provenance
      return this.#message(stage.output, noun, record as unknown as Records[Noun])
    })
    const openings = noun === 'instruction' ? (drafts as Draft<'instruction'>[]).map(({ text }) => openingOf(text)) : []
    return { ...this.#outcome({ kind: 'done', out: messages.length }, messages), openings }
  }

  dropped({ reason, details }: Drop): Outcome {
    const { stage } = this.#binding
    if (!stage.operator.reasons.includes(reason)) {
      throw new SituError('OPERATOR_BUG', `${stage.name}: drops for ${reason}, which it does not declare`)
    }
    const record: Records['dropped'] = {
      id: hash(
        'dropped',
        this.#binding.outputId(this.#place.id ?? '', this.#samples.first.demonstrations, 0, 0),
        ...variantPart(stage),
      ),
      operator: stage.name,
      reason,
      input: this.#place.id,
      twin: details.twin ?? null,
      similarity: details.similarity ?? null,
      detail: details.detail ?? null,
      provenance: this.#samples.first.recorder?.provenance() ?? null,
      place: this.#place,
      variant: stage.variant,
    }
    return this.#outcome({ kind: 'dropped', reason }, [this.#message('dropped', 'dropped', record)])
  }

  async failed(error: SituError, value: Uint8Array | null): Promise<Outcome> {
    // Before the dead letter is committed: a retry of it must not meet the same reply again.
    if (isReplyAtFault(error)) await this.#samples.rejectReplies()
    const { topic, partition, offset } = this.#place
    const record: Records['failed'] = {
      id: deadLetterId(this.#binding.stage, this.#place),
      operator: this.#binding.stage.name,
      code: error.code,
      message: error.message,
      input: this.#place.id,
      attempts: Math.max(1, this.#samples.first.recorder?.tries ?? 0),
      evidence: makeEvidence(error.evidence?.content ?? '', error.evidence?.kind ?? 'none'),
      source: null,
      place: { id: this.#place.id, topic, partition, offset },
      value: value && value.length <= evidenceLimitBytes ? Buffer.from(value) : null,
      provenance: this.#samples.first.recorder?.provenance(error.code) ?? null,
      time: this.#ports.clock.now(),
      variant: this.#binding.stage.variant,
    }
    return this.#outcome({ kind: 'failed', code: error.code, message: error.message }, [this.#deadLetter(record)])
  }

  #outcome(result: Result, messages: OutgoingMessage[]): Outcome {
    return { result, messages, spent: this.#samples.spent }
  }

  /** Where the transport takes no message of that size, the input is left to its place and the evidence is cut. */
  #deadLetter(record: Records['failed']): OutgoingMessage {
    try {
      return this.#message('failed', 'failed', record)
    } catch (error) {
      if (!(error instanceof SituError) || error.code !== 'RECORD_TOO_LARGE') throw error
    }
    const { evidence, provenance } = record
    const attempts = provenance?.attempts.map(attempt => ({ ...attempt, rejectedReply: null })) ?? []
    return this.#message('failed', 'failed', {
      ...record,
      value: null,
      evidence: cutEvidence(evidence),
      provenance: provenance && { ...provenance, attempts },
    })
  }

  #message<N extends Noun>(topic: string, noun: N, record: Records[N]): OutgoingMessage {
    const { serde, partitions, maxMessageBytes, binding } = this.#ports
    let encoded: ReturnType<Serde['encode']>
    try {
      encoded = serde.encode(noun, record)
    } catch (cause) {
      throw new SituError('OPERATOR_BUG', `${binding.stage.name}: ${messageOf(cause)}`, { cause })
    }
    const bytes = encoded.value.length + record.id.length
    if (bytes > maxMessageBytes) {
      const rule = `the transport takes at most ${maxMessageBytes}`
      throw new SituError('RECORD_TOO_LARGE', `${binding.stage.name}: a ${noun} of ${bytes} bytes; ${rule}`)
    }
    const partition = partitionOf(noun, record, partitions)
    return { topic, partition, key: record.id, ...encoded, parent: this.#place.id }
  }
}

const nounsWithInput = new Set(
  Object.entries(schemas).flatMap(([noun, schema]) =>
    (schema as { fields: { name: string }[] }).fields.some(field => field.name === 'input') ? [noun] : [],
  ),
)

function hasInput(noun: Noun): boolean {
  return nounsWithInput.has(noun)
}

/** The same for the same stage and input, so that a second failure takes the place of the first. */
function deadLetterId(stage: Stage, place: Place): string {
  const input = place.id ?? `${place.topic}/${place.partition}/${place.offset}`
  return hash('failed', stage.name, input, ...variantPart(stage))
}

/** The same work in another variant is another record in the topics that they share. */
function variantPart({ variant }: Stage): string[] {
  return variant === mainVariant ? [] : [variant]
}
