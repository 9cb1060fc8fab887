import { access, constants } from 'node:fs/promises'
import { z } from 'zod'
import { createTokenizer } from '../../operators/gpt-tokenizer.ts'
import type { Model } from '../../operators/model.ts'
import { checkCompatibility } from '../../schemas/compatibility.ts'
import { messageOf } from '../../schemas/errors.ts'
import { type Noun, schemas } from '../../schemas/records.ts'
import { loadPrompt } from '../bind.ts'
import { kafkaSettingNames } from '../kafka-settings.ts'
import { createModels, type ModelChooser } from '../models/index.ts'
import { isOnKafka, openBrokers, openPipeline, openRegistry, subjectOf } from '../pipeline.ts'
import { type CommandContext, defineCommand } from '../terminal/command.ts'
import { describeDifferences } from '../terminal/describe-topics.ts'
import { stages, topicNouns, topicSpecs } from '../topology.ts'
import type { TopicDifference } from '../transports/kafka/index.ts'

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
  settings: ['model', 'modelTimeoutSeconds', 'standInLatencyMs', 'partitions', ...kafkaSettingNames],
  reportsProblems: true,
  options: {
    noCall: z.boolean().default(false).describe('Leave out the one call to each model endpoint.'),
  },
  examples: ['situ check', 'situ check --no-call --json'],
  notes: ['Shows all problems at once; exits 2 where the configuration or a prompt has one, 1 for any other.'],
  async run(context, { noCall }) {
    const { config, output, problems } = context
    const configured: Finding[] = problems.map(problem => ({ what: 'configuration', problem }))
    if (problems.length === 0) configured.push({ what: 'configuration', problem: null })
    const models = createModels(config)
    configured.push(...checkPrompts(context, models))
    const found = [...configured, ...(await (isOnKafka(context.config) ? checkKafka(context) : checkData(context)))]
    if (!noCall) found.push(...(await callModels(context, models)))
    for (const { what, problem } of found) {
      if (!config.settings.json)
        await output.line(problem === null ? `ok       ${what}` : `PROBLEM  ${what}: ${problem}`)
    }
    if (config.settings.json) await output.json(found)
    if (configured.some(({ problem }) => problem !== null)) return 2
    return found.some(({ problem }) => problem !== null) ? 1 : 0
  },
})

async function finding(what: string, look: () => unknown): Promise<Finding> {
  try {
    await look()
    return { what, problem: null }
  } catch (error) {
    return { what, problem: messageOf(error) }
  }
}

/** Placeholders, and whether the fixed part leaves room for a document in the model's context. */
function checkPrompts({ config }: CommandContext, models: ModelChooser): Finding[] {
  const tokenizer = createTokenizer()
  return stages.flatMap((stage): Finding[] => {
    if (!stage.operator.prompt) return []
    const own = config.operators[stage.name]
    const what = `prompt of ${stage.name}`
    try {
      const prompt = loadPrompt(stage, own?.prompt)
      const tokens = tokenizer.count(prompt.text)
      const model = (own?.model ?? config.settings.model) ? models(stage.name, own?.model) : null
      const room = model && model.contextTokens - model.replyTokens - tokens
      if (room !== null && room < 500) {
        const facts = `context ${model?.contextTokens}, reply ${model?.replyTokens}, prompt ${tokens} tokens`
        return [{ what, problem: `leaves ${room} tokens for document and demonstrations (${facts})` }]
      }
      return [{ what: `${what}: ${tokens} tokens, hash ${prompt.hash}`, problem: null }]
    } catch (error) {
      return [{ what, problem: messageOf(error) }]
    }
  })
}

async function checkData({ config }: CommandContext): Promise<Finding[]> {
  const { data } = config.settings
  const exists = await access(data).then(
    () => true,
    () => false,
  )
  if (!exists) return [{ what: `data folder ${data}: not there yet, situ ingest makes it`, problem: null }]
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

/** Brokers with log-in and rights, topics, registry with log-in, and the schemas: everything, whatever fails first. */
async function checkKafka({ config }: CommandContext): Promise<Finding[]> {
  const { brokers, registry, prefix, partitions } = config.settings
  const found: Finding[] = []
  const differences: TopicDifference[] = []
  const wanted = topicSpecs(partitions)
  found.push(
    await finding(`brokers ${brokers.join(', ')}`, async () => {
      const transport = await openBrokers(config)
      try {
        differences.push(...(await transport.topicDifferences(wanted)))
      } finally {
        await transport.close()
      }
    }),
  )
  if (found[0]?.problem === null) found.push(checkTopics(`topics ${prefix}.*`, differences, wanted.length))
  const schemaRegistry = await openRegistry(config).catch(error => messageOf(error))
  if (typeof schemaRegistry === 'string') return [...found, { what: `registry ${registry}`, problem: schemaRegistry }]
  const [first = 'page', ...others] = topicNouns
  const check = (noun: Noun) =>
    checkCompatibility(schemaRegistry, subjectOf(noun, config), JSON.stringify(schemas[noun]))
  const answered = await finding(`registry ${registry}`, () => check(first))
  // One that does not answer would not answer for the others either.
  if (answered.problem !== null) return [...found, answered]
  return [...found, answered, await finding('schemas in the registry', () => Promise.all(others.map(check)))]
}

function checkTopics(what: string, differences: readonly TopicDifference[], wanted: number): Finding {
  const missing = differences.filter(({ setting }) => setting === 'exists')
  if (missing.length === wanted)
    return { what: `${what}: not there yet, situ topics --create makes them`, problem: null }
  // Any one number of partitions is good, whatever is configured for new topics.
  const counts = new Set(differences.filter(({ setting }) => setting === 'partitions').map(({ found }) => found))
  const lines = describeDifferences(differences.filter(({ setting }) => setting !== 'partitions' || counts.size > 1))
  return { what, problem: lines.length > 0 ? lines.join('; ') : null }
}

/** One short call to each model in use. */
async function callModels({ config, stop }: CommandContext, choose: ModelChooser): Promise<Finding[]> {
  const models = new Map<Model, string>()
  const found: Finding[] = []
  for (const { name, operator } of stages) {
    const own = config.operators[name]?.model
    if (!operator.prompt) continue
    if ((own ?? config.settings.model) === undefined) {
      if (found.length === 0)
        found.push({ what: 'model: none is configured, situ run extract needs none', problem: null })
      continue
    }
    try {
      const model = choose(name, own)
      models.set(model, `model ${model.model} of ${model.endpoint}`)
    } catch (error) {
      found.push({ what: `model of ${name}`, problem: messageOf(error) })
    }
  }
  for (const [model, what] of models) found.push(await finding(what, () => greet(model, stop)))
  return found
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
