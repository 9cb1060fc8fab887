import type { OperatorName } from '../../operators/index.ts'
import { SituError } from '../../schemas/errors.ts'
import type { Config } from '../config/config.ts'
import type { Pipeline } from '../pipeline.ts'
import { standingRecords } from '../standing-records.ts'
import { holding, writeHeld } from './held-tasks.ts'
import { endsOf } from './replay.ts'
import {
  checkOperators,
  commonNouns,
  excludes,
  layOut,
  mainVariant,
  replacedBy,
  type Stage,
  stages,
} from './topology.ts'
import { createOwnTopics, readVariants, toRecord, type Variants } from './variants.ts'

const pollMs = 500
/** Tries while other workers lay the line: each takes a moment. */
const maxTries = 30

/**
 * The optional operators that are asked for: by name, by the recipe or `enabled` in the configuration, or by
 * benchmarks.
 *
 * @throws {SituError} USAGE for a name that is no operator's, and for two that have one place.
 */
export function wantedOperators(names: readonly string[], { operators, settings }: Config): OperatorName[] {
  checkOperators(names)
  const optional = stages.filter(({ operator }) => operator.optional)
  const asked = optional.filter(({ name }) => names.includes(name) || operators[name]?.enabled)
  const there = [...commonNouns, ...asked.map(({ operator }) => operator.to)]
  const isGiven = ({ operator: { benchmarks, from } }: Stage) =>
    benchmarks && settings.benchmarks.length > 0 && there.includes(from)
  const wanted = optional.filter(stage => asked.includes(stage) || isGiven(stage)).map(({ name }) => name)
  const second = wanted.find(name => wanted.some(other => excludes(name, other)))
  const first = wanted.find(name => second !== undefined && excludes(name, second))
  if (first) throw new SituError('USAGE', `${second} and ${first} exclude each other: they have one place in the chain`)
  return wanted
}

/** The stages that a log begins with. */
export function firstLine(wanted: readonly OperatorName[]): Stage[] {
  const always = stages.filter(({ operator }) => !operator.optional)
  return layOut(always, wanted)
}

/**
 * The stages of a line, or those of the given names alone.
 *
 * @throws {SituError} USAGE for a name whose place in the line another operator has.
 */
export function chooseStages(line: readonly Stage[], names: readonly string[]): Stage[] {
  const replaced = replacedBy(line.map(({ name }) => name))
  const gone = names.find(name => replaced.has(name) && !line.some(own => own.name === name))
  const own = line.find(({ name }) => gone !== undefined && excludes(name, gone))
  if (own) throw new SituError('USAGE', `${gone} is not in the chain of this log: ${own.name} has its place`)
  return line.filter(({ name }) => names.length === 0 || names.includes(name))
}

/** @throws {SituError} USAGE for a name that no stage of the line has. */
export function findStage(line: readonly Stage[], name: string | undefined): Stage {
  const stage = line.find(stage => stage.name === name)
  if (!stage) throw new SituError('USAGE', `expected one OPERATOR, got ${name}`)
  return stage
}

/**
 * The stages of the main line, with these optional ones among them. The log keeps which it has: once asked for, a stage
 * stays in its place.
 *
 * @throws {SituError} CONFIGURATION_CHANGED where a stage that would read another topic has worked inputs already, and
 * DATA_IN_USE while a worker has it.
 */
export async function extendMainLine(
  pipeline: Pipeline,
  config: Config,
  wanted: readonly OperatorName[],
): Promise<readonly Stage[]> {
  for (let count = 1; ; count++) {
    const variants = await readVariants(pipeline)
    const { stages } = variants.main
    if (wanted.every(name => stages.some(stage => stage.name === name))) return stages
    try {
      await extend(pipeline, config, variants, wanted)
    } catch (error) {
      // Workers that start together lay the same line: one of them does, the others see it.
      if (!(error instanceof SituError) || error.code !== 'DATA_IN_USE' || count === maxTries) throw error
      await pipeline.clock.sleep(pollMs)
    }
  }
}

async function extend(
  pipeline: Pipeline,
  config: Config,
  { main }: Variants,
  wanted: readonly OperatorName[],
): Promise<void> {
  const laid = layOut(main.stages, wanted)
  const added = laid.filter(({ name }) => !main.stages.some(own => own.name === name))
  checkInputs(laid, added)
  const replaced = main.stages.filter(own => !laid.some(({ name }) => name === own.name))
  const moved = main.stages.filter(own => laid.some(({ name, input }) => name === own.name && input !== own.input))
  await holding(pipeline, [...replaced, ...moved], async checkHeld => {
    const now = await readVariants(pipeline)
    if (now.main.record?.time !== main.record?.time) throw new SituError('DATA_IN_USE', 'the main line was changed')
    await checkUnworked(pipeline, [...replaced, ...moved], added)
    await createOwnTopics(pipeline, config, added)
    const droppedFrom = await endsOf(pipeline, 'dropped')
    const before = main.record?.stages ?? []
    const changed = [...added, ...laid.filter(({ name }) => moved.some(own => own.name === name))]
    const records = changed.map(stage => {
      const own = before.find(({ operator }) => operator === stage.name)
      return toRecord(stage, own?.droppedFrom ?? droppedFrom, own?.configuration ?? null)
    })
    const kept = before.filter(({ operator }) => ![...changed, ...replaced].some(({ name }) => name === operator))
    const common = { id: mainVariant, state: 'there' as const, range: '{}', time: pipeline.clock.now() }
    const origin = main.record?.origin ?? null
    const record = { ...common, origin, stages: [...kept, ...records] }
    await writeHeld(pipeline, new Map([[mainVariant, record]]), now, checkHeld)
  })
}

/** @throws {SituError} USAGE for a stage whose input nobody writes. */
function checkInputs(laid: readonly Stage[], added: readonly Stage[]): void {
  const written: readonly string[] = [...commonNouns, ...laid.map(({ output }) => output)]
  const lost = added.find(({ input }) => !written.includes(input))
  const writer = stages.find(({ output }) => output === lost?.input)
  if (!lost || !writer) return
  throw new SituError('USAGE', `${lost.name} reads ${lost.input}, which ${writer.name} writes: ask for that one too`)
}

/** What a stage has worked of its former input would be worked again, or never, from the new one. */
async function checkUnworked(pipeline: Pipeline, moved: readonly Stage[], added: readonly Stage[]): Promise<void> {
  for await (const { record: task } of standingRecords(pipeline, 'task')) {
    const stage = moved.find(({ name, variant }) => name === task.stage && variant === task.variant)
    if (!stage || task.counters.in === 0) continue
    const names = added.map(({ name }) => name).join(', ')
    const rule = `${stage.name} has worked ${stage.input} without it already`
    const ways = `situ replay ${added[0]?.name} --variant NAME works the same records beside; or begin a new log`
    throw new SituError('CONFIGURATION_CHANGED', `${names} can't be put into the main line: ${rule}; ${ways}`)
  }
}
