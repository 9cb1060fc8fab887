import type { StatefulIndex } from '../../operators/dedup/near-duplicate-index.ts'
import { hash } from '../../operators/hash.ts'
import { type Context, type Draft, Drop, type RecordedModel } from '../../operators/operator.ts'
import type { Search } from '../../operators/search.ts'
import type { Tokenizer } from '../../operators/tokenizer.ts'
import { type ErrorCode, messageOf, SituError } from '../../schemas/errors.ts'
import { type Noun, type Place, type Records, type Spent, schemas } from '../../schemas/records.ts'
import type { Serde } from '../../schemas/serde.ts'
import type { Clock } from '../clock.ts'
import { evidenceLimitBytes, makeEvidence } from '../evidence.ts'
import { identify } from '../identity.ts'
import type { Logger } from '../log.ts'
import { type Caller, CallRefused } from '../spending/caller.ts'
import { mainVariant, nounOfTopic, partitionOf, type Stage } from '../topology.ts'
import type { Message, OutgoingMessage } from '../transports/transport.ts'
import { CallRecorder } from './call-recorder.ts'
import type { RetryPolicy } from './call-retries.ts'
import { RecordLimit } from './record-limit.ts'
import { SearchCalls } from './search-calls.ts'
import type { StageBinding } from './stage-binding.ts'

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
}

export interface RecordWorkerPorts {
  binding: StageBinding
  serde: Serde
  clock: Clock
  log: Logger
  tokenizer: Tokenizer
  index: StatefulIndex | null
  /** What the stage looks for documents with; left out where it does not. */
  search?: Search | null
  /** What model calls go through. */
  caller: Caller
  /** Place of the stage in the chain. */
  rank: number
  retry: RetryPolicy
  /** Partitions of the topics written to. */
  partitions: number
  maxMessageBytes: number
  /** Aborted where no new call may begin: nobody waits for one any more. */
  draining: AbortSignal
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
  readonly #recorder: CallRecorder | null
  readonly #search: Search | null
  #demonstrations: readonly string[] = []

  constructor(ports: RecordWorkerPorts, place: Place, limit: RecordLimit) {
    this.#ports = ports
    this.#binding = ports.binding
    this.#place = place
    this.#limit = limit
    const { model } = ports.binding
    this.#recorder = model ? new CallRecorder(ports, model, place, limit) : null
    this.#search = ports.search ? new SearchCalls(ports.search, ports, limit, place.id ?? '') : null
  }

  /** Applies the operator; once more with less in its prompt, where the endpoint finds the first too long. */
  async apply(record: Records[Noun]): Promise<Draft<Noun>[] | Drop> {
    const { operator } = this.#binding.stage
    const calls = { recorder: this.#recorder, search: this.#search }
    const context = new WorkContext(record.id, this.#ports, this.#limit, calls, demonstrations => {
      this.#demonstrations = demonstrations
      if (this.#recorder) this.#recorder.demonstrations = demonstrations
    })
    try {
      return await this.#limit.race(operator.apply(record, context))
    } catch (error) {
      if (!this.#recorder?.shrink(error)) throw error
      try {
        return await this.#limit.race(operator.apply(record, context))
      } catch (second) {
        // Without room for a shorter prompt there was no second call: the endpoint's own answer says more.
        throw second instanceof SituError && second.code === 'MODEL_CONTEXT_EXCEEDED' ? error : second
      }
    }
  }

  done(drafts: readonly Draft<Noun>[]): Outcome {
    const { stage } = this.#binding
    if (drafts.length === 0) {
      throw new SituError('OPERATOR_BUG', `${stage.name}: returned no record and no drop`)
    }
    const noun = stage.operator.to
    const provenance = this.#recorder?.provenance()
    const messages = drafts.map((draft, index) => {
      const id = this.#binding.outputId(this.#place.id ?? '', this.#demonstrations, 0, index)
      const made: Record<string, unknown> = { ...draft, id }
      if (hasInput(noun)) made.input = this.#place
      if (provenance) made[stage.operator.provenanceField ?? 'provenance'] = provenance
      return this.#message(stage.output, noun, made as unknown as Records[Noun])
    })
    return this.#outcome({ kind: 'done', out: messages.length }, messages)
  }

  dropped({ reason, details }: Drop): Outcome {
    const { stage } = this.#binding
    if (!stage.operator.reasons.includes(reason)) {
      throw new SituError('OPERATOR_BUG', `${stage.name}: drops for ${reason}, which it does not declare`)
    }
    const record: Records['dropped'] = {
      id: hash(
        'dropped',
        this.#binding.outputId(this.#place.id ?? '', this.#demonstrations, 0, 0),
        ...variantPart(stage),
      ),
      operator: stage.name,
      reason,
      input: this.#place.id,
      twin: details.twin ?? null,
      similarity: details.similarity ?? null,
      detail: details.detail ?? null,
      provenance: this.#recorder?.provenance() ?? null,
      place: this.#place,
      variant: stage.variant,
    }
    return this.#outcome({ kind: 'dropped', reason }, [this.#message('dropped', 'dropped', record)])
  }

  async failed(error: SituError, value: Uint8Array | null): Promise<Outcome> {
    // Before the dead letter is committed: a retry of it must not meet the same reply again.
    if (repliesAtFault.has(error.code)) await this.#recorder?.rejectReplies()
    const { topic, partition, offset } = this.#place
    const record: Records['failed'] = {
      id: deadLetterId(this.#binding.stage, this.#place),
      operator: this.#binding.stage.name,
      code: error.code,
      message: error.message,
      input: this.#place.id,
      attempts: Math.max(1, this.#recorder?.tries ?? 0),
      evidence: makeEvidence(error.evidence?.content ?? '', error.evidence?.kind ?? 'none'),
      source: null,
      place: { id: this.#place.id, topic, partition, offset },
      value: value && value.length <= evidenceLimitBytes ? Buffer.from(value) : null,
      provenance: this.#recorder?.provenance(error.code) ?? null,
      time: this.#ports.clock.now(),
      variant: this.#binding.stage.variant,
    }
    return this.#outcome({ kind: 'failed', code: error.code, message: error.message }, [this.#deadLetter(record)])
  }

  #outcome(result: Result, messages: OutgoingMessage[]): Outcome {
    return { result, messages, spent: this.#recorder?.spent ?? null }
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

/** What makes the calls of one record; null for what its operator does not use. */
interface Calls {
  recorder: CallRecorder | null
  search: Search | null
}

/** What the operator of one record gets. A class: an object with getters of its own costs more than many operators. */
class WorkContext implements Context<Record<string, unknown>> {
  readonly id: string
  readonly showed: (demonstrationIds: readonly string[]) => void
  readonly #ports: RecordWorkerPorts
  readonly #limit: RecordLimit
  readonly #calls: Calls

  constructor(
    id: string,
    ports: RecordWorkerPorts,
    limit: RecordLimit,
    calls: Calls,
    showed: (demonstrationIds: readonly string[]) => void,
  ) {
    this.id = id
    this.showed = showed
    this.#ports = ports
    this.#limit = limit
    this.#calls = calls
  }

  get options() {
    return this.#ports.binding.options
  }

  get tokenizer() {
    return this.#ports.tokenizer
  }

  get signal() {
    return this.#limit.signal
  }

  get prompt() {
    return this.#declared(this.#ports.binding.prompt, 'prompt')
  }

  get model(): RecordedModel {
    return this.#declared(this.#calls.recorder, 'model')
  }

  get demonstrations() {
    return this.#declared(this.#ports.binding.snapshot, 'demonstrations')
  }

  get index() {
    return this.#declared(this.#ports.index, 'index')
  }

  get benchmarks() {
    return this.#declared(this.#ports.binding.ports.benchmarks, 'benchmarks')
  }

  get search() {
    return this.#declared(this.#calls.search, 'search')
  }

  get embedder() {
    return this.#declared(this.#ports.binding.ports.embedder, 'embedder')
  }

  #declared<T>(port: T | null | undefined, name: string): T {
    if (port !== null && port !== undefined) return port
    const { stage } = this.#ports.binding
    throw new SituError('OPERATOR_BUG', `${stage.name}: uses the port ${name} without declaring it`)
  }
}

/** Errors that lie in what the model answered. */
const repliesAtFault: ReadonlySet<ErrorCode> = new Set([
  'MODEL_REPLY_INVALID',
  'MODEL_REPLY_CUT',
  'MODEL_CONTENT_FILTERED',
])

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
