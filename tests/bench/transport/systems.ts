import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { brokerNames } from '../../../streams/transports/kafka/options.ts'
import { download } from '../../services/download.ts'
import type { BenchGround } from './ground.ts'
import { noopTask } from './noop.ts'

export type SystemName = 'situ embedded' | 'situ kafka' | 'kafkajs' | 'kafka streams'

/** Where a run of a system writes, and where it tells its position. */
export interface Places {
  /** Name of the run, of its own. */
  name: string
  /** Group whose offsets of the input show how far it is. */
  group: string
  output: string
}

export function placesOf(system: SystemName, { config }: BenchGround, name: string): Places {
  const { prefix = '' } = config
  if (!system.startsWith('situ')) return { name, group: `${prefix}-${name}`, output: `${prefix}.${name}` }
  return { name, group: brokerNames.lag(prefix, noopTask(name, 0)), output: `document.${name}` }
}

/** Starts one worker. */
export type Start = (ground: BenchGround, places: Places, folder: string) => ChildProcess

/** @param compression - Of what the rivals write: none or zstd. Ours is always zstd. */
export async function systemsOf(names: readonly SystemName[], compression: string): Promise<Map<SystemName, Start>> {
  const jars = names.includes('kafka streams') ? await streamsJars() : ''
  const start: Record<SystemName, Start> = {
    'situ embedded': startSitu,
    'situ kafka': startSitu,
    kafkajs: ({ config, input }, { group, output }) =>
      startNode('kafkajs-worker.ts', [config.brokers ?? '', group, input, output, compression]),
    'kafka streams': ({ config, input }, { group, output }, folder) => {
      const program = join(import.meta.dirname, 'kafka-streams/StreamsCopy.java')
      const log = '-Dorg.slf4j.simpleLogger.defaultLogLevel=error'
      const words = [config.brokers ?? '', group, input, output, folder, compression]
      return spawnQuiet('java', ['-Xmx512m', log, '-cp', `${jars}/*`, program, ...words])
    },
  }
  return new Map(names.map(name => [name, start[name]]))
}

function startSitu({ config }: BenchGround, { name }: Places): ChildProcess {
  return startNode('situ-worker.ts', [JSON.stringify(config), name])
}

function startNode(file: string, words: readonly string[]): ChildProcess {
  const profile = process.env.BENCH_PROFILE ? ['--cpu-prof', `--cpu-prof-dir=${process.env.BENCH_PROFILE}`] : []
  return spawnQuiet(process.execPath, [...profile, join(import.meta.dirname, file), ...words])
}

function spawnQuiet(command: string, words: readonly string[]): ChildProcess {
  return spawn(command, words, { stdio: ['ignore', 'ignore', 'inherit'] })
}

async function streamsJars(): Promise<string> {
  return join(await download(join(import.meta.dirname, 'kafka-streams/pom.xml')), 'jars')
}
