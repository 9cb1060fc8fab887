import { access, constants } from 'node:fs/promises'
import { z } from 'zod'
import { createTokenizer } from '../../operators/gpt-tokenizer.ts'
import type { Model } from '../../operators/model.ts'
import { checkCompatibility } from '../../schemas/compatibility.ts'
import { messageOf } from '../../schemas/errors.ts'
import { type Noun, schemas } from '../../schemas/records.ts'
import { promptFor } from '../bind.ts'
import { firstLine, wantedOperators } from '../chain/main-line.ts'
import { topicNouns, topicSpecs } from '../chain/topology.ts'
import type { Config } from '../config/config.ts'
import { kafkaSettingNames } from '../config/kafka-settings.ts'
import { createModels } from '../models/index.ts'
import { examineBrokers, isOnKafka, openPipeline, openRegistry, subjectOf } from '../pipeline.ts'
import { defineCommand } from '../terminal/command.ts'
import { describeDifferences } from '../terminal/describe-topics.ts'
import type { Examination } from '../transports/kafka/index.ts'

/** Less is no document worth asking about. */
const minRoomTokens = 500

/** One thing that was looked at: fine, or with a problem. */
interface Finding {
  what: string
  problem: string | null
}

export const command = defineCommand({
  name: 'check',
  summary:
    'checks configuration, prompts, schemas, data folder or brokers and registry, and model endpoint; nothing is read or paid',
  usage: '[--no-call]',
  words: { min: 0, max: 0 },
  settings: [
    'model',
    'recipe',
    'benchmarks',
    'modelTimeoutSeconds',
    'standInLatencyMs',
    'partitions',
    ...kafkaSettingNames,
  ],
  reportsProblems: true,
  options: {
    noCall: z.boolean().default(false).describe('Leave out the one call to each model endpoint.'),
  },
  examples: ['situ check', 'situ check --no-call --json'],
  notes: ['Shows all problems at once; exits 2 where the configuration or a prompt has one, 1 for any other.'],
  async run({ config, output, problems, stop }, { noCall }) {
    const found: Finding[] = []
    const tell = async (findings: readonly Finding[]) => {
      found.push(...findings)
      if (config.settings.json) return
      for (const { what, problem } of findings) {
        await output.line(problem === null ? `ok       ${what}` : `PROBLEM  ${what}: ${problem}`)
      }
    }
    const models = chooseModels(config)
    await tell(
      problems.length === 0 ? [fine('configuration')] : problems.map(problem => ({ what: 'configuration', problem })),
    )
    await tell([...models.problems, ...checkPrompts(config, models)])
    const isMisconfigured = found.some(({ problem }) => problem !== null)
    await tell(await (isOnKafka(config) ? checkKafka(config) : checkData(config)))
    if (!noCall) for (const call of callModels(models, stop)) await tell([await call])
    if (config.settings.json) await output.json(found)
    if (isMisconfigured) return 2
    return found.some(({ problem }) => problem !== null) ? 1 : 0
  },
})

function fine(what: string): Finding {
  return { what, problem: null }
}

async function finding(what: string, look: () => unknown): Promise<Finding> {
  try {
    await look()
    return { what, problem: null }
  } catch (error) {
    return { what, problem: messageOf(error) }
  }
}

/** Prompts are checked where no model is configured, too. */
const noModel = { endpoint: '', model: '' }

interface Models {
  /** By operator; an operator without a model that can be used is left out. */
  byOperator: ReadonlyMap<string, Model>
  problems: Finding[]
}

function chooseModels(config: Config): Models {
  const choose = createModels(config)
  const byOperator = new Map<string, Model>()
  const problems: Finding[] = []
  for (const { name, operator } of firstLine(wantedOperators([], config))) {
    const own = config.operators[name]?.model
    if (!operator.prompt || (own ?? config.settings.model) === undefined) continue
    try {
      byOperator.set(name, choose(name, own))
    } catch (error) {
      problems.push({ what: `model of ${name}`, problem: messageOf(error) })
    }
  }
  return { byOperator, problems }
}

/** Placeholders, and whether the fixed part leaves room for a document in the model's context. */
function checkPrompts(config: Config, { byOperator }: Models): Finding[] {
  const tokenizer = createTokenizer()
  return firstLine(wantedOperators([], config)).flatMap((stage): Finding[] => {
    if (!stage.operator.prompt) return []
    const what = `prompt of ${stage.name}`
    const model = byOperator.get(stage.name)
    const own = config.operators[stage.name]
    try {
      const prompt = promptFor(stage, model ?? noModel, own?.options ?? {}, own?.prompt)
      if (!prompt) return [fine(`${what}: none, model ${model?.model} takes none`)]
      const tokens = tokenizer.count(prompt.text)
      const room = model ? model.contextTokens - model.replyTokens - tokens : Number.POSITIVE_INFINITY
      if (room < minRoomTokens) {
        const facts = `context ${model?.contextTokens}, reply ${model?.replyTokens}, prompt ${tokens} tokens`
        return [{ what, problem: `leaves ${room} tokens for document and demonstrations (${facts})` }]
      }
      return [fine(`${what}: ${tokens} tokens, hash ${prompt.hash}`)]
    } catch (error) {
      return [{ what, problem: messageOf(error) }]
    }
  })
}

async function checkData(config: Config): Promise<Finding[]> {
  const { data } = config.settings
  const exists = await access(data).then(
    () => true,
    () => false,
  )
  if (!exists) return [fine(`data folder ${data}: not there yet, situ ingest makes it`)]
  const folder = await finding(`data folder ${data}`, () => access(data, constants.R_OK | constants.W_OK))
  const log = await finding(`log and schemas in ${data}`, async () => {
    const pipeline = await openPipeline(config, 'read')
    try {
      for (const noun of topicNouns)
        await checkCompatibility(pipeline.registry, subjectOf(noun, config), JSON.stringify(schemas[noun]))
    } finally {
      await pipeline.close()
    }
  })
  return [folder, log]
}

/** Brokers with log-in, rights, topics, registry with log-in, and the schemas: everything, whatever fails first. */
async function checkKafka(config: Config): Promise<Finding[]> {
  return [...(await checkBrokers(config)), ...(await checkRegistry(config))]
}

async function checkBrokers(config: Config): Promise<Finding[]> {
  const { brokers, prefix } = config.settings
  const what = `brokers ${brokers.join(', ')}`
  try {
    const examination = await examineBrokers(config)
    const releases = Map.groupBy(examination.releases, ([, release]) => release)
    const listed = [...releases].map(([release, own]) => `Kafka ${release} (${own.map(([id]) => id).join(', ')})`)
    return [
      fine(`${what}: ${listed.join('; ')}`),
      ...checkRights(examination),
      checkTopics(`topics ${prefix}.*`, examination, topicSpecs(1).length),
    ]
  } catch (error) {
    return [{ what, problem: messageOf(error) }]
  }
}

/** Each set of rights with all that it is missing on. */
function checkRights({ missingRights }: Examination): Finding[] {
  const groups = Map.groupBy(missingRights, ({ rights }) => rights.join(', '))
  if (groups.size === 0) return [fine('rights on topics, groups and transactional ids')]
  return [...groups].map(([rights, group]) => {
    const resources = group.map(({ resource }) => resource).join(', ')
    return { what: 'rights', problem: `the user lacks ${rights} on ${resources}` }
  })
}

async function checkRegistry(config: Config): Promise<Finding[]> {
  const what = `registry ${config.settings.registry}`
  const registry = await openRegistry(config).catch(error => messageOf(error))
  if (typeof registry === 'string') return [{ what, problem: registry }]
  const check = (noun: Noun) => checkCompatibility(registry, subjectOf(noun, config), JSON.stringify(schemas[noun]))
  const [first = 'page', ...others] = topicNouns
  const results = await Promise.allSettled([check(first)])
  const [answer] = results
  const code = answer?.status === 'rejected' ? (answer.reason as { code?: unknown }).code : null
  // One that does not answer would not answer for the others either.
  if (code !== null && code !== 'SCHEMA_INCOMPATIBLE') {
    return [{ what, problem: messageOf((answer as PromiseRejectedResult).reason) }]
  }
  const all = [...results, ...(await Promise.allSettled(others.map(check)))]
  const problems = all.flatMap(result => (result.status === 'rejected' ? [messageOf(result.reason)] : []))
  const description = await registry.describe()
  return [
    fine(description ? `${what}: ${description}` : what),
    ...(problems.length === 0 ? [fine('schemas in the registry')] : []),
    ...problems.map(problem => ({ what: 'schemas in the registry', problem })),
  ]
}

function checkTopics(what: string, { differences, notMakeable }: Examination, wanted: number): Finding {
  if (differences === null) return { what, problem: 'their settings are not seen: see the rights' }
  const missing = differences.filter(({ setting }) => setting === 'exists')
  const refused = notMakeable === null ? [] : [`those that are missing can't be made: ${notMakeable}`]
  if (missing.length === wanted && refused.length === 0)
    return fine(`${what}: not there yet, situ topics --create makes them`)
  // Any one number of partitions is good, whatever is configured for new topics.
  const others = differences.filter(({ setting }) => setting === 'partitions')
  const areOne = new Set(others.map(({ found }) => found)).size <= 1 && others.length + missing.length >= wanted
  const lines = describeDifferences(differences.filter(({ setting }) => setting !== 'partitions' || !areOne))
  const problems = [...lines, ...refused]
  return { what, problem: problems.length > 0 ? problems.join('; ') : null }
}

/** One short call to each model in use, each begun when it is asked for. */
function* callModels({ byOperator, problems }: Models, stop: AbortSignal): Generator<Finding | Promise<Finding>> {
  if (byOperator.size === 0 && problems.length === 0)
    yield fine('model: none is configured, situ run extract needs none')
  for (const model of new Set(byOperator.values())) {
    yield finding(`model ${model.model} of ${model.endpoint}`, () => greet(model, stop))
  }
}

async function greet(model: Model, signal: AbortSignal): Promise<void> {
  const schema = {
    type: 'object',
    properties: { ready: { type: 'boolean' } },
    required: ['ready'],
    additionalProperties: false,
  }
  await model.complete({
    messages: [{ role: 'user', content: 'Reply with the JSON object {"ready": true} and nothing else.' }],
    replySchema: { name: 'ready', schema },
    sample: 0,
    signal,
  })
}
