import type { FoundDocument, SearchOptions } from '../../operators/search.ts'
import { SituError } from '../../schemas/errors.ts'
import type { Document } from '../../schemas/records.ts'
import { nounOfTopic, Outputs } from '../chain/topology.ts'
import { readVariants } from '../chain/variants.ts'
import type { Config } from '../config/config.ts'
import { isOnKafka, type Pipeline } from '../pipeline.ts'
import type { Message } from '../transports/transport.ts'
import { type Entry, type Hit, type Indexed, IndexFile } from './full-text/index-file.ts'
import type { OpenSearch } from './search.ts'

/** Raised whenever the same documents would be found otherwise. */
export const fullTextName = 'full-text, version 1'

/** Documents that are taken in at once: SQLite holds the process that long. */
const batchDocuments = 50

/**
 * Finds documents of the pipeline by their words: those of the topic `document` of the main line.
 *
 * Before each search the index takes in what the topic has got since. It lies beside the log in the data folder, on
 * Kafka in that of each machine; deleted, or left over from another log, it is made again.
 */
export class FullTextSearch implements OpenSearch {
  readonly name = fullTextName
  readonly #pipeline: Pipeline
  readonly #topic: string
  readonly #file: IndexFile
  readonly #closing = new AbortController()
  #catchingUp: Promise<void> | null = null
  #isChecked = false

  private constructor(pipeline: Pipeline, topic: string, file: IndexFile) {
    this.#pipeline = pipeline
    this.#topic = topic
    this.#file = file
  }

  static async open(pipeline: Pipeline, config: Config): Promise<FullTextSearch> {
    const topic = await documentTopic(pipeline)
    const { data, prefix } = config.settings
    const file = await IndexFile.open(data, isOnKafka(config) ? `${prefix}.${topic}` : topic)
    return new FullTextSearch(pipeline, topic, file)
  }

  /** @throws {SituError} SEARCH_EMPTY where there is no document yet; DATA_*, and what the log throws. */
  async find(keywords: readonly string[], { limit }: SearchOptions): Promise<FoundDocument[]> {
    // Those who come while others wait for it see the same moment.
    this.#catchingUp ??= this.#catchUp().finally(() => {
      this.#catchingUp = null
    })
    await this.#catchingUp
    for (;;) {
      const hits = await this.#file.find(keywords, limit)
      const found = await Promise.all(hits.map(hit => this.#read(hit)))
      const gone = hits.filter((_, index) => !found[index]).map(({ id }) => id)
      if (gone.length === 0) return found.filter(document => document !== null)
      // Deleted by retention since: those behind them move up.
      await this.#file.remove(gone)
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new SituError('TRANSPORT_CLOSED', 'the search was closed'))
    await this.#catchingUp?.catch(() => undefined)
    await this.#file.close()
  }

  async #catchUp(): Promise<void> {
    const { transport, partitions } = this.#pipeline
    if (!this.#isChecked) await this.#check()
    this.#isChecked = true
    for (let partition = 0; partition < partitions; partition++) {
      const { end } = await transport.bounds(this.#topic, partition)
      for (;;) {
        const { next } = await this.#file.indexed(partition)
        if (next >= end || (await this.#takeIn(partition, next)) === next) break
      }
    }
    if ((await this.#file.size()) === 0) {
      throw new SituError('SEARCH_EMPTY', `topic ${this.#topic} holds no document that could be found`)
    }
  }

  /** @returns Up to where it has read; the offset given where there was nothing. */
  async #takeIn(partition: number, from: number): Promise<number> {
    const { transport } = this.#pipeline
    const options = { maxMessages: batchDocuments, signal: this.#closing.signal }
    let next = from
    for await (const batch of transport.read(this.#topic, partition, from, options)) {
      const entries = await Promise.all(batch.messages.map(message => this.#entryOf(message)))
      await this.#file.add(
        { partition, next },
        entries.filter(entry => entry !== null),
        batch.next,
      )
      next = batch.next
    }
    this.#closing.signal.throwIfAborted()
    return next
  }

  async #entryOf(message: Message): Promise<Entry | null> {
    const document = await this.#decode(message)
    if (!document) return null
    const { id, title, text } = document
    return { id, partition: message.partition, offset: message.offset, title, text }
  }

  /** An index that does not go with the log is made again: the log was deleted, or it is that of another cluster. */
  async #check(): Promise<void> {
    const { transport, partitions } = this.#pipeline
    for (let partition = 0; partition < partitions; partition++) {
      const indexed = await this.#file.indexed(partition)
      const { start, end } = await transport.bounds(this.#topic, partition)
      if (indexed.next > end || !(await this.#isOfThisLog(indexed, start))) return this.#file.clear()
    }
  }

  async #isOfThisLog({ partition, lastOffset: offset, lastId: id }: Indexed, start: number): Promise<boolean> {
    // What retention has deleted can't be compared, and nothing else is known of it.
    if (offset === null || id === null || offset < start) return true
    return (await this.#read({ partition, offset, id, relevance: 0 })) !== null
  }

  /** Null for what is no document. */
  async #decode({ value }: Message): Promise<Document | null> {
    // A stage put in behind writes documents of a noun of its own, with all the fields of a document.
    const noun = nounOfTopic(this.#topic) as 'document'
    return this.#pipeline.serde.decodeOwn(noun, value)
  }

  /** The document; null where it is not there any more. */
  async #read({ partition, offset, id, relevance }: Hit): Promise<FoundDocument | null> {
    const { transport } = this.#pipeline
    for await (const { messages } of transport.read(this.#topic, partition, offset, { maxMessages: 1 })) {
      const [message] = messages
      const document = message?.offset === offset ? await this.#decode(message) : null
      if (document?.id !== id) return null
      const { url, title, language, text } = document
      return { id, url, title, language, text, relevance }
    }
    return null
  }
}

/** Where the main line has its documents. @throws {SituError} What the log throws. */
export async function documentTopic(pipeline: Pick<Pipeline, 'transport' | 'serde'>): Promise<string> {
  const outputs = new Outputs()
  for (const stage of (await readVariants(pipeline)).main.stages) outputs.add(stage)
  return outputs.inputOf({ from: 'document' })
}
