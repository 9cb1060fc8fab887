import type { StatefulIndex } from '../../operators/dedup/near-duplicate-index.ts'
import type { Context, Draft, Drop } from '../../operators/operator.ts'
import type { Search } from '../../operators/search.ts'
import { type ErrorCode, isOfRecord, SituError } from '../../schemas/errors.ts'
import type { LostSample, Noun, Place, Records, Spent } from '../../schemas/records.ts'
import { type CallPorts, CallRecorder } from './call-recorder.ts'
import type { RecordLimit } from './record-limit.ts'
import { SearchCalls } from './search-calls.ts'
import { addSpent } from './task-record.ts'
import { type Sample, WorkContext } from './work-context.ts'

export interface SamplePorts extends CallPorts {
  index: StatefulIndex | null
  /** What the stage looks for documents with; left out where it does not. */
  search?: Search | null
}

/** Applies an operator to one record, and keeps what the calls for each of its outputs were. */
export class Samples {
  readonly #ports: SamplePorts
  readonly #place: Place
  readonly #limit: RecordLimit
  readonly #samples: [Sample, ...Sample[]]
  /** Of outputs, where there are several. */
  readonly #sampleOf = new Map<object, Sample>()
  #search: Search | null = null
  #lost: readonly LostSample[] = []

  /** @param place - Of the record; its id may be filled in later. */
  constructor(ports: SamplePorts, place: Place, limit: RecordLimit) {
    this.#ports = ports
    this.#place = place
    this.#limit = limit
    this.#samples = [this.#newSample(0)]
  }

  get first(): Sample {
    return this.#samples[0]
  }

  /** Those that gave no output while others did. */
  get lost(): readonly LostSample[] {
    return this.#lost
  }

  /** What the calls of all took; null where there was none. */
  get spent(): Spent | null {
    const spent: Spent[] = []
    for (const { recorder } of this.#samples) if (recorder?.spent) addSpent(spent, recorder.spent)
    // However many samples it had, it is one input.
    return spent[0] ? { ...spent[0], inputs: 1 } : null
  }

  /** The sample that an output was made as. */
  of(draft: object): Sample {
    return this.#sampleOf.get(draft) ?? this.first
  }

  /** Keeps the replies of the record from being served again. */
  async rejectReplies(): Promise<void> {
    for (const { recorder } of this.#samples) await recorder?.rejectReplies()
  }

  #newSample(number: number): Sample {
    const { model } = this.#ports.binding
    const recorder = model ? new CallRecorder(this.#ports, model, this.#place, this.#limit, number) : null
    return { number, recorder, demonstrations: [] }
  }

  /** @throws What the operator threw, or what ends the record where no output of it can be used. */
  async apply(record: Records[Noun]): Promise<Draft<Noun>[] | Drop> {
    const { operator } = this.#ports.binding.stage
    const { search } = this.#ports
    if (search) this.#search = new SearchCalls(search, this.#ports, this.#limit, record.id)
    const context = this.#contextOf(record.id, this.first)
    return this.#withinContext(this.first, () => operator.apply(record, context))
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
    this.#lost = failed.flatMap(({ sample, error }) =>
      isReplyAtFault(error) ? (sample.recorder?.lost(error) ?? []) : [],
    )
    return made
  }
}

const repliesAtFault: ReadonlySet<ErrorCode> = new Set([
  'MODEL_REPLY_INVALID',
  'MODEL_REPLY_CUT',
  'MODEL_CONTENT_FILTERED',
])

/** Whether the error lies in what the model answered. */
export function isReplyAtFault(error: unknown): error is SituError {
  return error instanceof SituError && repliesAtFault.has(error.code)
}

/** Of the errors of several samples the one that ends the record; undefined where others may be kept. */
function endingError(errors: readonly unknown[]): unknown {
  const ending = errors.filter(error => !isReplyAtFault(error))
  const stopping = ending.find(error => !isOfRecord(error))
  return stopping ?? ending[0]
}
