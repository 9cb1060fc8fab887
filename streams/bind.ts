import { readFileSync } from 'node:fs'
import type { BenchmarkIndex } from '../operators/decontaminate/benchmark-index.ts'
import { builtInSnapshot, type DemonstrationSnapshot } from '../operators/demonstrations.ts'
import type { Model } from '../operators/model.ts'
import { Prompt } from '../operators/prompt.ts'
import { messageOf, SituError } from '../schemas/errors.ts'
import { loadBenchmarks } from './benchmarks.ts'
import { type Stage, stages } from './chain/topology.ts'
import type { Config, OperatorConfig } from './config/config.ts'
import type { StageEmbedder } from './embedders/embedder.ts'
import { createEmbedder } from './embedders/index.ts'
import { createModels } from './models/index.ts'
import { createSearch } from './searches/index.ts'
import type { SearchSource } from './searches/search.ts'
import { StageBinding } from './task/stage-binding.ts'
import { closestName } from './terminal/closest-name.ts'

/**
 * Gives each stage its options, prompt, model and demonstrations; a search is opened by what works with it.
 *
 * @param prompts - Prompt files by operator, as `OPERATOR=FILE`; they go before those of the configuration.
 * @param demonstrations - Left out: the built-in ones.
 * @throws {SituError} USAGE, CONFIGURATION_INVALID or PROMPT_INVALID, before anything is read or paid.
 */
export function bindStages(
  chosen: readonly Stage[],
  config: Config,
  prompts: readonly string[] = [],
  demonstrations?: DemonstrationSnapshot,
): StageBinding[] {
  const files = promptFiles(prompts)
  const models = createModels(config)
  let snapshot = demonstrations ?? null
  let embedder: StageEmbedder | null = null
  let benchmarks: BenchmarkIndex | null = null
  let search: SearchSource | null = null
  return chosen.map(stage => {
    const { operator } = stage
    const own = config.operators[stage.name]
    if (operator.demonstrations) snapshot ??= builtInSnapshot()
    if (needsEmbedder(stage, own)) embedder ??= createEmbedder(config)
    if (operator.benchmarks) benchmarks ??= loadBenchmarks(config.settings.benchmarks)
    if (operator.search) search ??= createSearch(config)
    const options = own?.options ?? {}
    const asks = operator.prompt && (operator.asksModel?.(options) ?? true)
    const model = asks ? models(stage.name, own?.model) : null
    return new StageBinding(stage, options, {
      prompt: model && promptFor(stage, model, options, files.get(stage.name) ?? own?.prompt),
      model: model ?? (operator.embeds ? (embedder?.model ?? null) : null),
      snapshot: operator.demonstrations ? snapshot : null,
      isLive: config.settings.demonstrations === 'live',
      ...(operator.benchmarks && benchmarks && { benchmarks }),
      ...(operator.search && search && { search }),
      ...(needsEmbedder(stage, own) && embedder && { embedder }),
    })
  })
}

function needsEmbedder({ operator }: Stage, own: OperatorConfig | undefined): boolean {
  const { embedder = false } = operator
  return typeof embedder === 'function' ? embedder(own?.options ?? {}) : embedder
}

function promptFiles(prompts: readonly string[]): Map<string, string> {
  const withPrompt = stages.filter(stage => stage.operator.prompt).map(stage => stage.name as string)
  const files = new Map<string, string>()
  for (const given of prompts) {
    const [name = '', ...rest] = given.split('=')
    const file = rest.join('=')
    if (!file) throw new SituError('USAGE', `--prompt ${given}: expected OPERATOR=FILE`)
    if (!withPrompt.includes(name)) {
      throw new SituError(
        'USAGE',
        `--prompt ${given}: no operator ${name} with a prompt${closestName(name, withPrompt)}`,
      )
    }
    files.set(name, file)
  }
  return files
}

/**
 * The prompt in force with a model; null for one that takes none.
 *
 * @throws {SituError} As `loadPrompt`; CONFIGURATION_INVALID where operator, model, options and prompt do not fit.
 */
export function promptFor(
  stage: Stage,
  { kind = 'chat', endpoint, model }: Pick<Model, 'kind' | 'endpoint' | 'model'>,
  options: Record<string, unknown>,
  file?: string,
): Prompt | null {
  const { name, operator } = stage
  if (kind !== 'chat' && (file !== undefined || !operator.unprompted)) {
    const rule = file === undefined ? `and ${name} asks by a prompt` : `so ${file} would not be used`
    const who = `model ${endpoint} (${model}) is of kind ${kind}, which takes no prompt`
    throw new SituError('CONFIGURATION_INVALID', `operators.${name}: ${who}, ${rule}`)
  }
  const prompt = kind === 'chat' ? loadPrompt(stage, file) : null
  operator.check?.(options, { prompt, kind })
  return prompt
}

/**
 * The prompt in force: a file, else the built-in one.
 *
 * @throws {SituError} PROMPT_INVALID; INPUT_UNREADABLE where the file can't be read.
 */
export function loadPrompt({ name, operator }: Stage, file?: string): Prompt {
  const path = file ?? new URL(`../operators/prompts/${operator.prompt?.file ?? name}.md`, import.meta.url)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new SituError('INPUT_UNREADABLE', `prompt of ${name}: ${messageOf(cause)}`, { cause })
  }
  return new Prompt(name, text, operator.prompt?.fields ?? [])
}
