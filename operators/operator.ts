import type { z } from 'zod'
import type { Noun, Provenance, Records } from '../schemas/records.ts'
import type { BenchmarkIndex } from './decontaminate/benchmark-index.ts'
import type { NearDuplicateIndex, StatefulIndex } from './dedup/near-duplicate-index.ts'
import type { Demonstration, DemonstrationSnapshot } from './demonstrations.ts'
import type { Embedder } from './embedder.ts'
import type { ChatMessage, Model, ModelKind, ModelReply, ModelRequest } from './model.ts'
import type { Prompt } from './prompt.ts'
import type { FoundDocument, Search } from './search.ts'
import type { Tokenizer } from './tokenizer.ts'

/** A wanted outcome: the input ends here, counted by reason and kept in the topic `dropped`. */
export class Drop {
  readonly reason: string
  readonly details: DropDetails

  constructor(reason: string, details: DropDetails) {
    this.reason = reason
    this.details = details
  }
}

export interface DropDetails {
  /** For a near-duplicate: id of the kept record, in the same topic as the input. */
  twin?: string
  /** For a near-duplicate: estimated Jaccard similarity, 0 to 1. */
  similarity?: number
  /** What the operator saw, for a reader. */
  detail?: string
}

/** @param reason - One of those that the operator declares. */
export function drop(reason: string, details: DropDetails = {}): Drop {
  return new Drop(reason, details)
}

/** A record as an operator makes it: the runtime adds id, input and, after a model call, how it was made. */
export type Draft<N extends Noun> = Omit<Records[N], 'id' | 'input' | 'provenance' | JudgingField> & {
  provenance?: Provenance | null
  moderating?: Provenance | null
}

/** Where a record tells of the calls of an operator that judged it: `provenance` is that of what was judged. */
export type JudgingField = 'moderating' | 'scoring'

/** Why a reply was not taken, and what the next call of the same record says about it. */
export interface Correction {
  code: 'MODEL_REPLY_INVALID' | 'MODEL_REPLY_CUT'
  /** The reply that was not taken, cut at 32 KB. */
  rejectedReply: string
  /** The corrective turn, as sent. */
  changed: string
}

/** A model whose calls the runtime counts and writes into the record's provenance. */
export interface RecordedModel extends Pick<Model, 'contextTokens' | 'replyTokens'> {
  readonly kind: ModelKind
  /** @param correction - Present where this call mends an earlier one. */
  complete(request: Pick<ModelRequest, 'messages' | 'replySchema'>, correction?: Correction): Promise<ModelReply>
}

/** What an operator needs from outside. A port that the operator does not declare throws when it is touched. */
export interface Context<Options> {
  /** Id of the input record: what every random choice is seeded with. */
  readonly id: string
  /** Which of several outputs of the record is made: 0 for the first. */
  readonly sample: number
  readonly options: Options
  readonly tokenizer: Tokenizer
  /** Declared by `prompt`. */
  readonly prompt: Prompt
  /** Declared by `prompt`. */
  readonly model: RecordedModel
  /** Declared by `demonstrations`. What was shown is told by `showed`. */
  readonly demonstrations: DemonstrationSnapshot
  /** Declared by `createIndex`. */
  readonly index: NearDuplicateIndex
  /** Declared by `benchmarks`. */
  readonly benchmarks: BenchmarkIndex
  /** Declared by `search`. */
  readonly search: Search
  /** Declared by `embedder`. */
  readonly embedder: Embedder
  /** Tells the runtime which demonstrations, or found documents, went into the messages, in order: they count in the id. */
  showed(ids: readonly string[]): void
  /**
   * Makes several outputs of the record at once, each with a sample number, calls and provenance of its own. One whose
   * replies can't be used does not take the others with it: they are given, and their provenance tells which is missing.
   *
   * @param make - Gives the output of one sample; works with the context that it gets.
   * @throws {SituError} Where no sample gives an output; any error that does not lie in what the model answered.
   */
  samples<T extends object>(count: number, make: (context: Context<Options>) => Promise<T>): Promise<T[]>
  /** Aborted where the record is given up (its time is over, the task is lost, the drain deadline has passed). */
  readonly signal: AbortSignal
}

/** What the messages of an input are made of, so that they can be made again later. */
export interface Material<Options> {
  prompt: Prompt
  options: Options
  tokenizer: Tokenizer
  demonstrations: readonly Demonstration[]
  /** What a search had found and the model was shown. */
  found?: readonly FoundDocument[]
  /** The model's limits; where they are left out, the options alone set the limits. */
  model?: Pick<Model, 'contextTokens' | 'replyTokens'>
}

/**
 * From one record to records, a drop or an error: a value, not a service.
 *
 * Counts, retries, logs, dead letters, ids, provenance and commits are the runtime's. The consumer group, the metric
 * labels, the command line name, the prompt file and the stage shown in `dropped` and `failed` derive from `name`.
 */
export interface Operator<In extends Noun = Noun, Out extends Noun = Noun, Options = Record<string, unknown>> {
  /** Name of the stage, a verb in kebab-case. */
  readonly name: string
  /** Raised whenever the same input would give another output. */
  readonly version: number
  readonly from: In
  readonly to: Out
  /** One line for the lists. */
  readonly summary: string
  /**
   * For an operator that is in the chain only where it is asked for. What one that is `inserted` writes stands in for
   * what it reads, for all operators behind it: its output has all the fields of its input. One `apart` begins, or
   * goes on with, a branch of its own.
   */
  readonly optional?: 'inserted' | 'apart'
  /** Operators that it takes the place of: in a chain that has it, they are left out. It is then optional. */
  readonly insteadOf?: readonly string[]
  /** Every reason that `apply` drops for. */
  readonly reasons: readonly string[]
  /** The options that change the output, each with a default and a description. */
  readonly options: z.ZodType<Options>
  /**
   * For a model operator: the placeholders of prompts/<name>.md, that of the text which is asked about first; `file` is
   * the name of a prompt that several operators share.
   */
  readonly prompt?: { readonly fields: readonly string[]; readonly file?: string }
  /** Whether it calls its model with these options; left out: always. */
  asksModel?(options: Options): boolean
  /** Field of the output that tells of the operator's own calls, where `provenance` is that of what it reads. */
  readonly provenanceField?: JudgingField
  /** Whether it draws from the snapshot of demonstrations. */
  readonly demonstrations?: boolean
  /** Whether it looks for benchmark prompts: the hash of their set belongs to what its outputs depend on. */
  readonly benchmarks?: boolean
  /** Whether it looks for documents. */
  readonly search?: boolean
  /** Whether it compares texts by meaning. */
  readonly embedder?: boolean | ((options: Options) => boolean)
  /** For a stage with state: it then works one record after the other, and its entries are part of the commit. */
  readonly createIndex?: (options: Options) => StatefulIndex
  /** A 32-bit hash by which the stage's input is partitioned, for stages in which equal records must meet. */
  readonly route?: (record: Records[In]) => number
  /**
   * Works one record. The same record, context and replies give the same result.
   *
   * @throws {SituError} Anything else that is thrown becomes OPERATOR_BUG.
   */
  apply(record: Records[In], context: Context<Options>): Promise<Draft<Out>[] | Drop> | Draft<Out>[] | Drop
  /** For a model operator: the messages of the first call, from the record and what was shown with it. Pure. */
  messages?(record: Records[In], material: Material<Options>): ChatMessage[]
  /** For one whose model may be a guard or a moderation model: what that is asked, with no prompt around it. Pure. */
  unprompted?(record: Records[In], material: Omit<Material<Options>, 'prompt' | 'demonstrations'>): ChatMessage[]
  /**
   * Looks at options beside the prompt and the model that they are for; `prompt` is null where the model takes none.
   *
   * @throws {SituError} CONFIGURATION_INVALID or PROMPT_INVALID, before anything is paid.
   */
  check?(options: Options, asked: { prompt: Prompt | null; kind: ModelKind }): void
}
