import { type Noun, nouns, type Provenance, type Task } from '../../schemas/records.ts'
import { ownProvenance, type Stage } from '../chain/topology.ts'
import { StandIn } from '../models/stand-in.ts'
import type { Pipeline } from '../pipeline.ts'
import type { StageBinding } from '../task/stage-binding.ts'
import { addUp, finished } from '../task/task-record.ts'
import type { Tally } from './sample-run.ts'

/** Outputs of a stage that are read at most, the newest ones. */
const mostOutputs = 500

/** Inputs that a stage has finished, and those that passed. */
export interface RecordedFlow {
  inputs: number
  passed: number
}

/** From the counters of the stage, whatever variant worked it. */
export function recordedFlow({ name }: Stage, tasks: readonly Task[]): RecordedFlow {
  const counters = addUp(tasks.filter(({ stage }) => stage === name))
  return { inputs: finished(counters), passed: counters.done }
}

const { model: standIn } = new StandIn()

/** Whether any call for the stage is recorded, made or served from the cache; those of the stand-in cost nothing. */
export function hasCalled({ name }: Stage, tasks: readonly Task[]): boolean {
  const { spent } = addUp(tasks.filter(({ stage }) => stage === name))
  return spent.some(({ model, calls, fromCache }) => model !== standIn && calls + fromCache > 0)
}

/** What each input of the newest outputs of a stage took with the same model and prompt; at most 500 outputs. */
export async function recordedTallies({ transport, serde, partitions }: Pipeline, binding: StageBinding) {
  const tallies = new Map<string, Tally>()
  const { output, operator } = binding.stage
  const noun = nouns.find(name => name === operator.to)
  if (!noun || !(await transport.topics()).some(({ name }) => name === output)) return []
  const most = Math.ceil(mostOutputs / partitions)
  for (let partition = 0; partition < partitions; partition++) {
    const { start, end } = await transport.bounds(output, partition)
    for await (const { messages } of transport.read(output, partition, Math.max(start, end - most))) {
      for (const { value } of messages) {
        const provenance = ownProvenance(operator, await serde.decode<Noun>(noun, value))
        if (provenance && isAlike(provenance, binding)) addTo(tallies, provenance)
      }
    }
  }
  return [...tallies.values()]
}

function isAlike({ operator, model, prompt }: Provenance, binding: StageBinding): boolean {
  return operator === binding.stage.name && model === binding.model?.model && prompt === (binding.prompt?.hash ?? null)
}

/** Several outputs of one input are samples of it: each has calls of its own. */
function addTo(tallies: Map<string, Tally>, { attempts, usage, costUsd, latencyMs, input }: Provenance): void {
  const own = { calls: attempts.length, ...usage, usd: costUsd, latencyMs }
  const place = `${input.topic}/${input.partition}/${input.offset}`
  const known = tallies.get(place)
  tallies.set(place, known ? sumOf(known, own) : own)
}

function sumOf(left: Tally, right: Tally): Tally {
  return {
    calls: left.calls + right.calls,
    promptTokens: left.promptTokens + right.promptTokens,
    cachedTokens: left.cachedTokens + right.cachedTokens,
    completionTokens: left.completionTokens + right.completionTokens,
    usd: left.usd === null || right.usd === null ? null : left.usd + right.usd,
    latencyMs: left.latencyMs + right.latencyMs,
  }
}
