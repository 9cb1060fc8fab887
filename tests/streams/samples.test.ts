import { describe, expect, it } from 'vitest'
import { builtInSnapshot } from '../../operators/demonstrations.ts'
import type { Model, ModelReply, ModelRequest } from '../../operators/model.ts'
import { SituError } from '../../schemas/errors.ts'
import { loadPrompt } from '../../streams/bind.ts'
import { chooseStages, firstLine } from '../../streams/chain/main-line.ts'
import { readConfig } from '../../streams/config/config.ts'
import { withOperatorFlags } from '../../streams/config/operator-flags.ts'
import { sentMessages } from '../../streams/inspect/sent-messages.ts'
import { readStatus } from '../../streams/inspect/status.ts'
import { verify } from '../../streams/inspect/verify.ts'
import { StandIn } from '../../streams/models/stand-in.ts'
import type { Pipeline } from '../../streams/pipeline.ts'
import { Run, type RunOptions } from '../../streams/run.ts'
import { StageBinding } from '../../streams/task/stage-binding.ts'
import { defaults, memoryPipeline, readRecords, silent, writeArticles } from '../support/pipeline.ts'

const snapshot = builtInSnapshot()

/** The stand-in, with replies of some calls for situations replaced. */
class ScriptedModel extends StandIn implements Model {
  readonly samples: number[] = []
  readonly answer: (request: ModelRequest) => string | Error | null

  constructor(answer: (request: ModelRequest) => string | Error | null = () => null) {
    super()
    this.answer = answer
  }

  override async complete(request: ModelRequest): Promise<ModelReply> {
    const reply = await super.complete(request)
    if (request.replySchema.name !== 'situation') return reply
    this.samples.push(request.sample)
    const answer = this.answer(request)
    if (answer instanceof Error) throw answer
    return answer === null ? reply : { ...reply, text: answer }
  }
}

function run(pipeline: Pipeline, model: Model, situations: number, options: Partial<RunOptions> = {}) {
  const config = withOperatorFlags(readConfig({}, {}).config, { situations })
  const chosen = chooseStages(firstLine([]), ['dedupe-document', 'situate', 'instruct', 'dedupe-instruction'])
  const bindings = chosen.map(stage => {
    const { operator, name } = stage
    return new StageBinding(stage, config.operators[name]?.options ?? {}, {
      prompt: operator.prompt ? loadPrompt(stage) : null,
      model: operator.prompt ? model : null,
      snapshot: operator.demonstrations ? snapshot : null,
    })
  })
  return new Run(pipeline, { ...defaults, ...options, bindings }, silent).work()
}

async function pipelineWith(count: number): Promise<Pipeline> {
  const pipeline = await memoryPipeline()
  const texts = Array.from({ length: count }, (_, number) =>
    `Lighthouse ${number}. `.concat(
      `In year ${number} its keeper counted ${number * 37} ships on the sound. `.repeat(8),
    ),
  )
  await writeArticles(pipeline, texts)
  return pipeline
}

async function expectSound(pipeline: Pipeline) {
  const survey = await pipeline.transport.survey('task')
  const status = await readStatus(pipeline, survey)
  expect(status.differences).toEqual([])
  const { differences } = await verify(pipeline, survey, status.operators, new AbortController().signal)
  // The articles come of no ingest.
  expect(differences.filter(line => !line.startsWith('ingest:'))).toEqual([])
  return status.operators
}

describe('several situations of a document', () => {
  it('are calls with sample numbers, draws and ids of their own, and all sums hold', async () => {
    const pipeline = await pipelineWith(4)
    const model = new ScriptedModel()
    await run(pipeline, model, 3)
    expect(model.samples.sort()).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
    const situations = await readRecords(pipeline, 'situation')
    expect(new Set(situations.map(({ id }) => id)).size).toBe(12)
    const byDocument = Map.groupBy(situations, ({ document }) => document.id)
    for (const own of byDocument.values()) {
      expect(own.map(({ provenance }) => provenance.sample).sort()).toEqual([0, 1, 2])
      expect(new Set(own.map(({ provenance }) => provenance.demonstrations.join())).size).toBe(3)
      expect(new Set(own.map(({ scene }) => scene)).size).toBe(3)
    }
    for (const { provenance } of situations) {
      expect((await sentMessages(pipeline, provenance)).matches).toBe(true)
      expect(provenance.attempts).toHaveLength(1)
    }
    const operators = await expectSound(pipeline)
    expect(operators.situate).toMatchObject({ in: 4, done: 4, out: 12, spent: [{ inputs: 4, calls: 12 }] })
    expect(operators.instruct).toMatchObject({ in: 12, done: 12, out: 12 })
  })

  it('begin with the one that is made where one is asked for', async () => {
    const [one, three] = [await pipelineWith(2), await pipelineWith(2)]
    await run(one, new ScriptedModel(), 1)
    await run(three, new ScriptedModel(), 3)
    const scenes = (await readRecords(three, 'situation')).filter(({ provenance }) => provenance.sample === 0)
    expect(scenes.map(({ scene }) => scene).sort()).toEqual(
      (await readRecords(one, 'situation')).map(({ scene }) => scene).sort(),
    )
  })

  it('are kept where one of them fails its check, and tell which is missing and what it took', async () => {
    const pipeline = await pipelineWith(2)
    const model = new ScriptedModel(({ sample }) => (sample === 1 ? 'I will not.' : null))
    await run(pipeline, model, 3)
    const situations = await readRecords(pipeline, 'situation')
    expect(situations.map(({ provenance }) => provenance.sample).sort()).toEqual([0, 0, 2, 2])
    for (const { provenance } of situations) {
      const lost = provenance.sample === 0 ? [1] : []
      expect(provenance.lost.map(({ sample }) => sample)).toEqual(lost)
    }
    const [lost] = situations.flatMap(({ provenance }) => provenance.lost)
    expect(lost).toMatchObject({ code: 'MODEL_REPLY_INVALID', message: expect.stringContaining('no JSON') })
    expect(lost?.attempts).toMatchObject([
      { code: 'MODEL_REPLY_INVALID', rejectedReply: 'I will not.' },
      { code: 'MODEL_REPLY_INVALID' },
    ])
    const operators = await expectSound(pipeline)
    expect(operators.situate).toMatchObject({ in: 2, done: 2, out: 4, failed: {}, spent: [{ inputs: 2, calls: 8 }] })
  })

  it('are a dead letter where none of them passes its check', async () => {
    const pipeline = await pipelineWith(1)
    await run(pipeline, new ScriptedModel(() => 'I will not.'), 3)
    const [letter] = await readRecords(pipeline, 'failed')
    expect(letter).toMatchObject({ operator: 'situate', code: 'MODEL_REPLY_INVALID', provenance: { sample: 0 } })
    expect((await expectSound(pipeline)).situate).toMatchObject({ in: 1, done: 0, spent: [{ inputs: 1, calls: 6 }] })
  })

  it('come together or not at all where the endpoint is at fault: then a retry makes all', async () => {
    const pipeline = await pipelineWith(1)
    const model = new ScriptedModel(({ sample }) =>
      sample === 2 ? new SituError('MODEL_REQUEST_REFUSED', 'not this one') : null,
    )
    await run(pipeline, model, 3)
    expect(await readRecords(pipeline, 'situation')).toEqual([])
    const [letter] = await readRecords(pipeline, 'failed')
    expect(letter).toMatchObject({ operator: 'situate', code: 'MODEL_REQUEST_REFUSED' })
    await expectSound(pipeline)
  })
})
