import type { StatefulIndex } from '../../operators/dedup/near-duplicate-index.ts'
import { hash } from '../../operators/hash.ts'
import { openingOf } from '../../operators/opening.ts'
import { type Context, type Draft, Drop } from '../../operators/operator.ts'
import type { Search } from '../../operators/search.ts'
import type { Tokenizer } from '../../operators/tokenizer.ts'
import { type ErrorCode, isOfRecord, messageOf, SituError } from '../../schemas/errors.ts'
import {
  type LostSample,
  type Noun,
  type Place,
  type Provenance,
  type Records,
  type Spent,
  schemas,
} from '../../schemas/records.ts'
import type { Serde } from '../../schemas/serde.ts'
import { mainVariant, nounOfTopic, partitionOf, type Stage } from '../chain/topology.ts'
import { evidenceLimitBytes, makeEvidence } from '../evidence.ts'
import { identify } from '../identity.ts'
import type { Logger } from '../log.ts'
import { type Caller, CallRefused } from '../spending/caller.ts'
import type { Message, OutgoingMessage } from '../transports/transport.ts'
import { CallRecorder } from './call-recorder.ts'
import type { RetryPorts } from './call-retries.ts'
import { RecordLimit } from './record-limit.ts'
import { SearchCalls } from './search-calls.ts'
import type { StageBinding } from './stage-binding.ts'
import { addSpent } from './task-record.ts'
import { type Sample, WorkContext } from './work-context.ts'

/** What is left of the evidence where the whole does not fit into a message. */
const smallEvidenceCharacters = 16_384

/** What became of one input. */
export type Result =
  | { kind: 'done'; out: number }
  | { kind: 'dropped'; reason: string }
  | { kind: 'failed'; code: ErrorCode; message: string }
  /** Sent on to the task that it belongs to, which counts it. */
  | { kind: 'forwarded' }

export interface Outcome {
  result: Result
  messages: OutgoingMessage[]
  /** What its model calls took; null where it made none. */
  spent: Spent | null
  /** How its outputs begin, where they are made instructions. */
  openings?: readonly string[]
}

export interface RecordWorkerPorts extends RetryPorts {
  binding: StageBinding
  serde: Serde
  log: Logger
  tokenizer: Tokenizer
  index: StatefulIndex | null
  /** What the stage looks for documents with; left out where it does not. */
  search?: Search | null
  /** What model calls go through. */
  caller: Caller
  /** Place of the stage in the chain. */
  rank: number
  /** Partitions of the topics written to. */
  partitions: number
  maxMessageBytes: number
}

/** Works one record of a stage: decodes it, applies the operator with retries, encodes what comes out. */
export class RecordWorker {
  readonly #ports: RecordWorkerPorts
  readonly #noun: Noun

  constructor(ports: RecordWorkerPorts) {
    this.#ports = ports
    this.#noun = nounOfTopic(ports.binding.stage.input)
  }

  /**
   * @param signal - Aborts the work; the record then stays uncommitted.
   * @throws {SituError} An error that ends the task or the run.
   * @throws {CallRefused} A drain has begun.
   */
  async work(message: Message, signal: AbortSignal): Promise<Outcome> {
    const { stage } = this.#ports.binding
    const place: Place = { id: null, topic: message.topic, partition: message.partition, offset: message.offset }
    const limit = new RecordLimit(this.#ports.retry.recordTimeoutMs, this.#ports.clock, signal)
    const work = new Work(this.#ports, place, limit)
    try {
      const record = identify(this.#noun, await this.#ports.serde.decode(this.#noun, message.value))
      place.id = record.id
      const applied = await work.apply(record)
      return applied instanceof Drop ? work.dropped(applied) : work.done(applied)
    } catch (error) {
      if (signal.aborted || error instanceof CallRefused) throw error
      const failure = limit.asFailure(error, stage.name)
      if (failure.stops !== 'record') throw failure
      return await work.failed(failure, message.value)
    } finally {
      limit.end()
    }
  }
}

/** One record under work. */
class Work {
  readonly #ports: RecordWorkerPorts
  readonly #binding: StageBinding
  readonly #place: Place
  readonly #limit: RecordLimit
  readonly #search: Search | null
  readonly #samples: [Sample, ...Sample[]]
  /** Samples of outputs, where there are several. */
  readonly #sampleOf = new Map<object, Sample>()
  #lost: readonly LostSample[] = []

  constructor(ports: RecordWorkerPorts, place: Place, limit: RecordLimit) {
    this.#ports = ports
    this.#binding = ports.binding
    this.#place = place
    this.#limit = limit
    this.#search = ports.search ? new SearchCalls(ports.search, ports, limit, place.id ?? '') : null
    this.#samples = [this.#newSample(0)]
  }

  get #first(): Sample {
    return this.#samples[0]
  }

  #newSample(number: number): Sample {
    const { model } = this.#binding
    const recorder = model ? new CallRecorder(this.#ports, model, this.#place, this.#limit, number) : null
    return { number, recorder, demonstrations: [] }
  }

  async apply(record: Records[Noun]): Promise<Draft<Noun>[] | Drop> {
    const { operator } = this.#binding.stage
    const context = this.#contextOf(record.id, this.#first)
    return this.#withinContext(this.#first, () => operator.apply(record, context))
  }

  /** Once more with less in the prompt, where the endpoint finds the first too long. */
  async #withinContext<T>({ recorder }: Sample, work: () => Promise<T> | T): Promise<T> {
    try {
      return await this.#limit.race(work())
    } catch (error) {
      if (!recorder?.shrink(error)) throw error
      try {
        return await this.#limit.race(work())
      } catch (second) {
        // Without room for a shorter prompt there was no second call: the endpoint's own answer says more.
        throw second instanceof SituError && second.code === 'MODEL_CONTEXT_EXCEEDED' ? error : second
      }
    }
  }

  #contextOf(id: string, sample: Sample): WorkContext {
    const calls = { sample, search: this.#search }
    return new WorkContext(id, this.#ports, this.#limit, calls, (count, make) => this.#makeSamples(id, count, make))
  }

  async #makeSamples<T extends object>(
    id: string,
    count: number,
    make: (context: Context<Record<string, unknown>>) => Promise<T>,
  ): Promise<T[]> {
    for (let number = this.#samples.length; number < count; number++) this.#samples.push(this.#newSample(number))
    const ended = await Promise.allSettled(
      this.#samples.map(sample => this.#withinContext(sample, () => make(this.#contextOf(id, sample)))),
    )
    const made: T[] = []
    const failed: { sample: Sample; error: unknown }[] = []
    for (const [index, sample] of this.#samples.entries()) {
      const result = ended[index]
      if (result?.status === 'rejected') failed.push({ sample, error: result.reason })
      else if (result) {
        this.#sampleOf.set(result.value, sample)
        made.push(result.value)
      }
    }
    const error = endingError(failed.map(({ error }) => error)) ?? (made.length === 0 ? failed[0]?.error : undefined)
    if (error !== undefined) throw error
    this.#lost = failed.flatMap(({ sample, error }) => sample.recorder?.lost(error as SituError) ?? [])
    return made
  }

  done(drafts: readonly Draft<Noun>[]): Outcome {
    const { stage } = this.#binding
    if (drafts.length === 0) {
      throw new SituError('OPERATOR_BUG', `${stage.name}: returned no record and no drop`)
    }
    const noun = stage.operator.to
    const made = new Map<Sample, { provenance: Provenance | null; count: number }>()
    const messages = drafts.map(draft => {
      const sample = this.#sampleOf.get(draft) ?? this.#first
      const lost = made.size === 0 ? this.#lost : []
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
        this.#binding.outputId(this.#place.id ?? '', this.#first.demonstrations, 0, 0),
        ...variantPart(stage),
      ),
      operator: stage.name,
      reason,
      input: this.#place.id,
      twin: details.twin ?? null,
      similarity: details.similarity ?? null,
      detail: details.detail ?? null,
      provenance: this.#first.recorder?.provenance() ?? null,
      place: this.#place,
      variant: stage.variant,
    }
    return this.#outcome({ kind: 'dropped', reason }, [this.#message('dropped', 'dropped', record)])
  }

  async failed(error: SituError, value: Uint8Array | null): Promise<Outcome> {
    // Before the dead letter is committed: a retry of it must not meet the same reply again.
    if (isReplyAtFault(error)) for (const { recorder } of this.#samples) await recorder?.rejectReplies()
    const { topic, partition, offset } = this.#place
    const record: Records['failed'] = {
      id: deadLetterId(this.#binding.stage, this.#place),
      operator: this.#binding.stage.name,
      code: error.code,
      message: error.message,
      input: this.#place.id,
      attempts: Math.max(1, this.#first.recorder?.tries ?? 0),
      evidence: makeEvidence(error.evidence?.content ?? '', error.evidence?.kind ?? 'none'),
      source: null,
      place: { id: this.#place.id, topic, partition, offset },
      value: value && value.length <= evidenceLimitBytes ? Buffer.from(value) : null,
      provenance: this.#first.recorder?.provenance(error.code) ?? null,
      time: this.#ports.clock.now(),
      variant: this.#binding.stage.variant,
    }
    return this.#outcome({ kind: 'failed', code: error.code, message: error.message }, [this.#deadLetter(record)])
  }

  #outcome(result: Result, messages: OutgoingMessage[]): Outcome {
    const spent: Spent[] = []
    for (const { recorder } of this.#samples) if (recorder?.spent) addSpent(spent, recorder.spent)
    // However many samples it had, it is one input.
    return { result, messages, spent: spent[0] ? { ...spent[0], inputs: 1 } : null }
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
      evidence: { ...evidence, text: evidence.text.slice(0, smallEvidenceCharacters), cut: true },
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

/** Errors that lie in what the model answered. */
const repliesAtFault: ReadonlySet<ErrorCode> = new Set([
  'MODEL_REPLY_INVALID',
  'MODEL_REPLY_CUT',
  'MODEL_CONTENT_FILTERED',
])

function isReplyAtFault(error: unknown): boolean {
  return error instanceof SituError && repliesAtFault.has(error.code)
}

/** Of the errors of several samples the one that ends the record; undefined where others may be kept. */
function endingError(errors: readonly unknown[]): unknown {
  const ending = errors.filter(error => !isReplyAtFault(error))
  const stopping = ending.find(error => !isOfRecord(error))
  return stopping ?? ending[0]
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
