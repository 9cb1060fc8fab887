import type { Task } from '../../schemas/records.ts'
import { mainVariant, type Stage } from '../chain/topology.ts'
import { type Line, readVariants } from '../chain/variants.ts'
import { differingKeys, readConfiguration } from '../configuration.ts'
import type { Pipeline } from '../pipeline.ts'
import { readStatus, readTasks, type StageStatus } from './status.ts'

/** What `situ variants` tells of one. */
export interface VariantInfo {
  name: string
  /** Its operators, with their counts. */
  operators: Record<string, StageStatus>
  /** Records of its topics, by noun. */
  records: Record<string, number>
  /** What its configuration has different from the main line's; empty for the main line itself. */
  differs: Difference[]
  /** Range of the inputs, as it was given. */
  range: Record<string, unknown>
  /** ISO time of the replay or the promotion; null for a main line of which no variant was promoted. */
  time: string | null
  /** Of the main line: the variant that was promoted last. */
  promoted: string | null
  state: 'there' | 'removing'
}

export interface Difference {
  operator: string
  /** Such as `prompt`, `model` or `options.demonstrations`. */
  key: string
  main: unknown
  variant: unknown
}

/** The main line, then the variants, the oldest first. */
export async function listVariants(pipeline: Pipeline): Promise<VariantInfo[]> {
  const survey = await pipeline.transport.survey('task')
  const [variants, tasks, status] = await Promise.all([
    readVariants(pipeline),
    readTasks(pipeline, survey),
    readStatus(pipeline, survey),
  ])
  const infos: VariantInfo[] = []
  for (const line of [variants.main, ...variants.others]) {
    const { name, record } = line
    const placed = variants.placed.filter(one => one.line === line)
    const range = Object.entries(JSON.parse(record?.range ?? '{}')).filter(([, value]) => value !== null)
    infos.push({
      name,
      operators: Object.fromEntries(placed.flatMap(({ key, stage }) => entry(stage.name, status.operators[key]))),
      records: Object.fromEntries(
        placed.map(({ key, stage: { operator, output } }) => [
          operator.to,
          survey.topics.find(topic => topic.name === output)?.records ?? status.operators[key]?.out ?? 0,
        ]),
      ),
      differs: await differencesOf(pipeline, line, variants.main, tasks),
      range: Object.fromEntries(range),
      time: record && new Date(record.time).toISOString(),
      promoted: name === mainVariant ? (record?.origin ?? null) : null,
      state: record?.state ?? 'there',
    })
  }
  return infos
}

function entry<T>(name: string, value: T | undefined): [string, T][] {
  return value === undefined ? [] : [[name, value]]
}

async function differencesOf(
  pipeline: Pipeline,
  line: Line,
  main: Line,
  tasks: readonly Task[],
): Promise<Difference[]> {
  const differences: Difference[] = []
  for (const stage of line === main ? [] : line.stages) {
    const other = main.stages.find(({ name }) => name === stage.name)
    const own = configurationOf(stage, line, tasks)
    const its = other && configurationOf(other, main, tasks)
    if (!own || !its || own === its) continue
    const [left, right] = [flat(await readConfiguration(pipeline, its)), flat(await readConfiguration(pipeline, own))]
    for (const { key, before, now } of differingKeys(left, right)) {
      differences.push({ operator: stage.name, key, main: before, variant: now })
    }
  }
  return differences
}

/** The configuration that a stage has worked with last, else that it was made with. */
function configurationOf({ name, variant }: Stage, { record }: Line, tasks: readonly Task[]): string | null {
  const own = tasks.find(task => task.stage === name && task.variant === variant && task.configuration !== null)
  return own?.configuration ?? record?.stages.find(({ operator }) => operator === name)?.configuration ?? null
}

/** One level of keys, as in `options.threshold`. */
function flat(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) =>
      typeof inner === 'object' && inner !== null && !Array.isArray(inner)
        ? Object.entries(inner).map(([name, deeper]) => [`${key}.${name}`, deeper])
        : [[key, inner]],
    ),
  )
}
