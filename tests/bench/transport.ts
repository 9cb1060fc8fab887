/**
 * Records/s and CPU of consume, do nothing, produce and commit in one transaction: ours on both backends, with Avro
 * decoded and encoded, beside a bare kafkajs loop and Kafka Streams with exactly_once_v2, which move bytes. All copy the
 * same records on the same broker, in turn; figures are medians.
 *
 * npm run bench -- transport [--records=200000] [--sizes=1000,8000] [--partitions=1,4,16] [--workers=1,2,4] [--runs=3]
 *   [--systems=…] [--compression=zstd|none] [--short] [--check] [--json]
 */
import kafkajs, { type Admin, Kafka } from 'kafkajs'
import { ownTopicSpecs } from '../../streams/chain/topology.ts'
// Keeps Node from warning of a timer that kafkajs sets.
import '../../streams/transports/kafka/wire.ts'
import { type Services, startServices } from '../services/index.ts'
import { type Figure, median, report, type ScriptOptions } from '../support/figures.ts'
import { removeFolder, temporaryFolder } from '../support/situ.ts'
import { BenchGround } from './transport/ground.ts'
import { groupProgress, type Measured, measure, taskProgress } from './transport/measure.ts'
import { noopStage } from './transport/noop.ts'
import { placesOf, type Start, type SystemName, systemsOf } from './transport/systems.ts'

const allSystems: readonly SystemName[] = ['situ embedded', 'situ kafka', 'kafkajs', 'kafka streams']
/** The case that the goals are for. */
const usual = { partitions: 4, workers: 1 }

interface Case {
  bytes: number
  partitions: number
  workers: number
}

export async function run(options: ScriptOptions): Promise<void> {
  const { values, short } = options
  const names = (values.systems?.split(',') ?? allSystems) as readonly SystemName[]
  const services = await startServices()
  const kafka = new Kafka({ brokers: services.brokers, logLevel: kafkajs.logLevel.NOTHING })
  const admin = kafka.admin()
  const folder = temporaryFolder()
  try {
    await admin.connect()
    const bench = new Bench(services, admin, folder, await systemsOf(names, values.compression ?? 'zstd'))
    const figures: Figure[] = []
    for (const one of casesOf(options)) {
      const records = Math.ceil(Number(values.records ?? (short ? 20_000 : 200_000)) / Math.max(1, one.bytes / 2000))
      const results = await bench.work(one, records, Number(values.runs ?? (short ? 1 : 3)))
      // Over few records programs are not warm yet: their figures say nothing of the goals.
      figures.push(...figuresOf(one, results, !short))
    }
    report('transport', figures, options)
  } finally {
    await admin.disconnect()
    await services.stop()
    removeFolder(folder)
  }
}

/** All sizes in the usual case; then the smallest size with other numbers of partitions, and of workers. */
function casesOf({ values, short }: ScriptOptions): Case[] {
  const numbers = (given: string | undefined, other: string) => (given ?? other).split(',').map(Number)
  const sizes = numbers(values.sizes, '1000,8000')
  const bytes = Math.min(...sizes)
  const partitions = numbers(values.partitions, short ? '4' : '1,4,16')
  const workers = numbers(values.workers, short ? '1' : '1,2,4')
  const cases = [
    ...sizes.map(size => ({ ...usual, bytes: size })),
    ...partitions.map(count => ({ ...usual, bytes, partitions: count })),
    ...workers.map(count => ({ ...usual, bytes, workers: count })),
  ]
  return [...new Map(cases.map(one => [JSON.stringify([one.bytes, one.partitions, one.workers]), one])).values()]
}

type Results = Map<SystemName, Measured[]>

class Bench {
  readonly #services: Services
  readonly #admin: Admin
  readonly #folder: string
  readonly #systems: ReadonlyMap<SystemName, Start>
  #runs = 0

  constructor(services: Services, admin: Admin, folder: string, systems: ReadonlyMap<SystemName, Start>) {
    this.#services = services
    this.#admin = admin
    this.#folder = folder
    this.#systems = systems
  }

  /** Every system in turn, and that several times, to and fro: what else the machine does hits all alike. */
  async work({ bytes, partitions, workers }: Case, records: number, runs: number): Promise<Results> {
    const systems = [...this.#systems.keys()].filter(name => name !== 'situ embedded' || workers === 1)
    const kafka = await BenchGround.open(this.#services, partitions, records, bytes)
    const data = `${this.#folder}/${bytes}-${partitions}-${workers}`
    const embedded = systems.includes('situ embedded') ? await BenchGround.open(data, partitions, records, bytes) : null
    const results: Results = new Map(systems.map(name => [name, []]))
    try {
      // A broker that has just begun takes several times as long for the same: the first round is not counted.
      for (let round = this.#runs === 0 && runs > 1 ? -1 : 0; round < runs; round++) {
        for (const name of round % 2 === 0 ? systems : systems.toReversed()) {
          const ground = name === 'situ embedded' ? embedded : kafka
          if (!ground) continue
          const measured = await this.#once(name, ground, workers)
          if (round >= 0) results.get(name)?.push(measured)
        }
      }
    } finally {
      await embedded?.close()
      await kafka.close()
    }
    return results
  }

  async #once(name: SystemName, ground: BenchGround, workers: number): Promise<Measured> {
    const places = placesOf(name, ground, `run${++this.#runs}`)
    const { transport } = ground.pipeline
    const topic = { name: topicOf(places.output, ground), partitions: ground.partitions, compacted: false }
    const isOurs = name.startsWith('situ')
    await transport.createTopics(isOurs ? ownTopicSpecs(noopStage(places.name), ground.partitions) : [topic])
    const progress = ground.name === 'embedded' ? taskProgress : groupProgress(this.#admin)
    const start = this.#systems.get(name) as Start
    const measured = await measure(ground, places, start, { workers, folder: this.#folder, progress })
    const copied = await this.#countCopied(ground, places.output)
    if (copied !== ground.records) throw new Error(`${name}: ${copied} of ${ground.records} records copied`)
    console.error(`${name}, ${ground.partitions} partitions, ${workers} workers: ${JSON.stringify(measured)}`)
    return measured
  }

  /** Different keys among the committed records of the output; twice the same is an error. */
  async #countCopied(ground: BenchGround, output: string): Promise<number> {
    const { pipeline, partitions } = ground
    const topic = topicOf(output, ground)
    const keys = new Set<string>()
    for (let partition = 0; partition < partitions; partition++) {
      for await (const { messages } of pipeline.transport.read(topic, partition, 0)) {
        for (const { key } of messages) {
          if (key === null || keys.has(key)) throw new Error(`${output}: ${key} is there twice`)
          keys.add(key)
        }
      }
    }
    await pipeline.transport.deleteTopics([topic])
    return keys.size
  }
}

/** The transport's own name of a topic. */
function topicOf(output: string, { config }: BenchGround): string {
  return output.replace(`${config.prefix}.`, '')
}

function figuresOf({ bytes, partitions, workers }: Case, results: Results, hasGoals: boolean): Figure[] {
  const place = `${bytes} bytes, ${partitions} partitions, ${workers} workers`
  const of = (name: SystemName, figure: keyof Measured) => median(results.get(name)?.map(one => one[figure]) ?? [])
  const figures: Figure[] = [...results.keys()].flatMap(name => [
    { name: `${name}, ${place}`, value: of(name, 'recordsPerSecond'), unit: 'records/s' },
    { name: `${name}, ${place}, CPU`, value: of(name, 'cpuPerTenThousand'), unit: 's per 10,000 records' },
  ])
  const isUsual = hasGoals && partitions === usual.partitions && workers === usual.workers
  const speed = of('situ kafka', 'recordsPerSecond') / of('kafkajs', 'recordsPerSecond')
  const cpu = of('situ kafka', 'cpuPerTenThousand') / of('kafka streams', 'cpuPerTenThousand')
  if (speed > 0)
    figures.push({ name: `speed, situ / kafkajs, ${place}`, value: speed, ...(isUsual && { goal: { least: 0.8 } }) })
  if (cpu > 0)
    figures.push({ name: `CPU, situ / kafka streams, ${place}`, value: cpu, ...(isUsual && { goal: { most: 1.3 } }) })
  return figures
}
