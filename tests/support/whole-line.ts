import type { Model } from '../../operators/model.ts'
import { bindStages } from '../../streams/bind.ts'
import { chooseStages, extendMainLine } from '../../streams/chain/main-line.ts'
import { readConfig } from '../../streams/config/config.ts'
import { ingestRecords } from '../../streams/ingest/ingest-records.ts'
import type { Pipeline } from '../../streams/pipeline.ts'
import { Run } from '../../streams/run.ts'
import { StageBinding } from '../../streams/task/stage-binding.ts'
import { defaults, silent } from './pipeline.ts'

/** Options by which every step of the branch and of the main line gets inputs, whatever a model without sense replies. */
const open: Readonly<Record<string, object>> = {
  'score-real': { minimumScore: 0 },
  score: { minimumScore: 0 },
  retrieve: { minimumRelevance: 0 },
}

const optional = ['dedupe-real', 'score-real', 'conceive', 'retrieve', 'attribute', 'moderate', 'score'] as const

/** Works everything that waits, through the branch of demonstrations and the main line, with one model for all steps. */
export async function workWholeLine(pipeline: Pipeline, model: Model, folder: string) {
  const { config } = readConfig({ data: folder, model: 'stand-in' }, {})
  const line = await extendMainLine(pipeline, config, optional)
  const bindings = bindStages(chooseStages(line, []), config).map(({ stage, options, ports }) => {
    const own = { ...options, ...open[stage.name] }
    return new StageBinding(stage, own, ports.model ? { ...ports, model } : ports)
  })
  const { counters } = await new Run(pipeline, { ...defaults, bindings }, silent).work()
  return counters
}

/** Writes instructions of people, as an ingest would. */
export async function writeRealInstructions({ transport, serde }: Pipeline, texts: readonly string[]): Promise<void> {
  const messages = texts.map(content => {
    const item = {
      kind: 'item',
      content,
      format: 'text',
      url: null,
      title: null,
      place: null,
      source: 'a test',
    } as const
    const record = ingestRecords['real-instruction']({ ...item, fields: {} })
    return { topic: 'real-instruction', partition: 0, key: record.id, ...serde.encode('real-instruction', record) }
  })
  await transport.produce(messages)
}
