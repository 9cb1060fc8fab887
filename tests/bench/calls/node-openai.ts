/** What one writes without Situ: the `openai` package and a semaphore. Words: documents, templates, output, in flight. */
import { createReadStream, createWriteStream, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import OpenAI from 'openai'
import { z } from 'zod'

const [documents = '', templates = '', output = '', inFlight = ''] = process.argv.slice(2)
const text = z.string().min(1)
const schemas = {
  situation: z.object({
    user: text,
    motivation: text,
    scene: text,
    ability: text,
    knowledge: text,
    extraInformation: text,
    output: text,
  }),
  instruction: z.object({ thought: text, instruction: text }),
}
const jsonSchemas = { situation: z.toJSONSchema(schemas.situation), instruction: z.toJSONSchema(schemas.instruction) }
const prompts: Record<keyof typeof schemas, { role: 'system' | 'user'; content: string }[]> = JSON.parse(
  readFileSync(templates, 'utf8'),
)
const client = new OpenAI({ apiKey: 'none' })

function fill(template: string, values: Record<string, string>): string {
  return template.replace(/\{\{(\w+)\}\}/g, (whole, name: string) => values[name] ?? whole)
}

async function ask<Name extends keyof typeof schemas>(name: Name, values: Record<string, string>) {
  const messages = prompts[name].map(({ role, content }) => ({ role, content: fill(content, values) }))
  const completion = await client.chat.completions.create({
    model: 'bench',
    messages,
    response_format: { type: 'json_schema', json_schema: { name, strict: true, schema: jsonSchemas[name] } },
  })
  return schemas[name].parse(JSON.parse(completion.choices[0]?.message.content ?? '')) as z.infer<
    (typeof schemas)[Name]
  >
}

let free = Number(inFlight)
const waiting: (() => void)[] = []
const rows = createWriteStream(output, { flags: 'a' })

async function work(line: string): Promise<void> {
  try {
    const { url, title, text } = JSON.parse(line)
    const situation = await ask('situation', { document: text, title, url, language: 'en' })
    const instruction = await ask('instruction', { document: text, title, language: 'en', ...situation })
    rows.write(`${JSON.stringify({ url, title, situation, ...instruction })}\n`)
  } finally {
    free++
    waiting.shift()?.()
  }
}

const running: Promise<void>[] = []
for await (const line of createInterface({ input: createReadStream(documents) })) {
  while (free === 0) await new Promise<void>(resolve => waiting.push(resolve))
  free--
  running.push(work(line))
}
await Promise.all(running)
rows.end()
