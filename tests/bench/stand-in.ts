/** Replies a second of the stand-in, for both operators that ask a model. */
import { z } from 'zod'
import type { ModelRequest } from '../../operators/model.ts'
import { StandIn } from '../../streams/models/stand-in.ts'
import { readDocuments } from '../support/documents.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'

const fieldsOf = {
  situation: ['user', 'motivation', 'scene', 'ability', 'knowledge', 'extraInformation', 'output'],
  instruction: ['thought', 'instruction'],
}
const concurrency = 16

export async function run(options: ScriptOptions): Promise<void> {
  const replies = options.short ? 5_000 : 50_000
  const documents = readDocuments(500).map(({ text }) => text)
  const figures: Figure[] = []
  for (const [name, fields] of Object.entries(fieldsOf)) {
    const requests = documents.map(document => requestOf(name, fields, document))
    await answer(requests, 500)
    const start = performance.now()
    await answer(requests, replies)
    const seconds = (performance.now() - start) / 1000
    figures.push({ name: `replies/s, ${name}`, value: replies / seconds, goal: { least: 5_000 } })
  }
  report('stand-in', figures, options)
}

async function answer(requests: readonly ModelRequest[], count: number): Promise<void> {
  const model = new StandIn()
  let next = 0
  const work = async () => {
    while (next < count) {
      const request = requests[next++ % requests.length]
      if (request) await model.complete(request)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, work))
}

function requestOf(name: string, fields: readonly string[], document: string): ModelRequest {
  const schema = z.toJSONSchema(z.object(Object.fromEntries(fields.map(field => [field, z.string().min(1)]))))
  return {
    messages: [
      { role: 'system', content: 'Answer in JSON.' },
      { role: 'user', content: `Read this.\n\n<document>\n${document.slice(0, 16_000)}\n</document>\n\nWrite it.` },
    ],
    replySchema: { name, schema },
    sample: 0,
    signal: new AbortController().signal,
  }
}
