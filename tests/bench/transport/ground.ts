import { randomBytes } from 'node:crypto'
import { partitionOf } from '../../../streams/chain/topology.ts'
import { readConfig } from '../../../streams/config/config.ts'
import { contentId } from '../../../streams/identity.ts'
import { openPipeline, type Pipeline } from '../../../streams/pipeline.ts'
import type { Services } from '../../services/index.ts'
import { readDocuments, seeded, sentencesOf } from '../../support/documents.ts'
import { folderGround, kafkaGround } from '../../support/workers.ts'

const writtenAtOnce = 1000

/** A log with the articles that all systems copy. */
export class BenchGround {
  readonly name: 'embedded' | 'kafka'
  readonly config: Readonly<Record<string, string>>
  readonly pipeline: Pipeline
  readonly partitions: number
  readonly records: number
  /** Offset behind the last article, by partition. */
  readonly ends: number[] = []

  private constructor(
    name: 'embedded' | 'kafka',
    config: Readonly<Record<string, string>>,
    pipeline: Pipeline,
    records: number,
  ) {
    this.name = name
    this.config = config
    this.pipeline = pipeline
    this.partitions = pipeline.partitions
    this.records = records
  }

  /** @param place - A data folder, or the services. */
  static async open(
    place: string | Services,
    partitions: number,
    records: number,
    recordBytes: number,
  ): Promise<BenchGround> {
    const isFolder = typeof place === 'string'
    const prefix = `bench-${randomBytes(4).toString('hex')}`
    const { config: flags } = isFolder ? folderGround(place) : kafkaGround(place, prefix, partitions)
    const config = { ...flags, partitions: String(partitions), logLevel: 'error' }
    const pipeline = await openPipeline(readConfig(config, {}).config, 'write')
    const ground = new BenchGround(isFolder ? 'embedded' : 'kafka', config, pipeline, records)
    await ground.#write(recordBytes)
    return ground
  }

  get input(): string {
    return `${this.config.prefix}.article`
  }

  /** Record bytes are those of the Avro value. */
  async #write(recordBytes: number): Promise<void> {
    const { transport, serde } = this.pipeline
    const sentences = sentencesOf(readDocuments(3_000))
    const random = seeded(this.records + recordBytes)
    for (let start = 0; start < this.records; start += writtenAtOnce) {
      const count = Math.min(writtenAtOnce, this.records - start)
      const messages = Array.from({ length: count }, (_, index) => {
        const text = textOf(`${start + index}`, recordBytes - 60, sentences, random)
        const article = { id: contentId(text), url: null, title: null, text, language: 'en', source: null, input: null }
        const partition = partitionOf('article', article, this.partitions)
        return { topic: 'article', partition, key: article.id, ...serde.encode('article', article) }
      })
      await transport.produce(messages)
    }
    for (let partition = 0; partition < this.partitions; partition++) {
      this.ends.push((await transport.bounds('article', partition)).end)
    }
  }

  async close(): Promise<void> {
    await this.pipeline.close()
  }
}

function textOf(begin: string, bytes: number, sentences: readonly string[], random: () => number): string {
  const parts = [begin]
  for (let length = begin.length; length < bytes; ) {
    const sentence = sentences[Math.floor(random() * sentences.length)] ?? ''
    parts.push(sentence)
    length += Buffer.byteLength(sentence) + 1
  }
  return Buffer.from(parts.join(' ')).subarray(0, bytes).toString('utf8')
}
