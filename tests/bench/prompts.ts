/** How many demonstrations fit beside real documents, and how near the prompts come to their limit. */
import { readFileSync } from 'node:fs'
import { compose, promptOptions } from '../../operators/composition.ts'
import { builtInSnapshot, type Demonstration } from '../../operators/demonstrations.ts'
import { createTokenizer } from '../../operators/gpt-tokenizer.ts'
import { instruct } from '../../operators/instruct.ts'
import { Prompt } from '../../operators/prompt.ts'
import { situate } from '../../operators/situate.ts'
import { hasSharedData, readDocuments, type TestDocument } from '../support/documents.ts'
import { type Figure, median, report, type ScriptOptions } from '../support/figures.ts'

const tokenizer = createTokenizer()
const snapshot = builtInSnapshot()
const limits = promptOptions.parse({})

type ValuesOf = (document: TestDocument) => Record<string, string>

export async function run(options: ScriptOptions): Promise<void> {
  const wanted = Number(options.values.documents ?? (options.short ? 100 : 300))
  if (!hasSharedData) console.log('the shared corpus is not there: the documents are generated')
  const all = readDocuments(3_000)
  const step = Math.max(1, Math.floor(all.length / wanted))
  const documents = all.filter((_, index) => index % step === 0)
  const lengths = documents.map(({ text }) => tokenizer.count(text))
  report(
    'prompts',
    [
      { name: 'documents', value: documents.length },
      { name: 'length of a document, median', value: median(lengths), unit: 'tokens' },
      { name: 'demonstrations of the snapshot', value: snapshot.demonstrations.length },
      ...measure('situate', situate.prompt?.fields, documents, ({ title, url }) => ({ title, url, language: 'en' })),
      ...measure('instruct', instruct.prompt?.fields, documents, ({ title, url }) => ({
        title,
        language: 'en',
        ...sceneOf(snapshot.draw(`${url}#scene`, 1)[0]),
      })),
    ],
    options,
  )
}

function measure(
  name: string,
  fields: readonly string[] | undefined,
  documents: readonly TestDocument[],
  valuesOf: ValuesOf,
): Figure[] {
  const path = new URL(`../../operators/prompts/${name}.md`, import.meta.url)
  const prompt = new Prompt(name, readFileSync(path, 'utf8'), fields ?? [])
  const fitted: number[] = []
  const sizes: number[] = []
  let milliseconds = 0
  for (const document of documents) {
    const subject = { document: document.text, values: valuesOf(document) }
    const demonstrations = snapshot.draw(document.url, limits.demonstrations)
    const start = performance.now()
    const composition = compose(subject, { prompt, options: limits, tokenizer, demonstrations })
    milliseconds += performance.now() - start
    fitted.push(composition.demonstrations.length)
    sizes.push(countTokens(composition.messages))
  }
  const each = snapshot.demonstrations.map(one => tokenizer.count(prompt.demonstrate(one, 1)))
  return [
    { name: `${name}: fixed part`, value: countTokens(prompt.fill({}, [])), unit: 'tokens' },
    { name: `${name}: demonstration, median`, value: median(each), unit: 'tokens' },
    { name: `${name}: demonstration, longest`, value: Math.max(...each), unit: 'tokens' },
    { name: `${name}: demonstrations that fit, fewest`, value: Math.min(...fitted) },
    { name: `${name}: demonstrations that fit, median`, value: median(fitted), goal: { least: 5 } },
    { name: `${name}: prompt, median`, value: median(sizes), unit: 'tokens' },
    {
      name: `${name}: prompt, longest`,
      value: Math.max(...sizes),
      unit: 'tokens',
      goal: { most: limits.maxPromptTokens },
    },
    { name: `${name}: composing`, value: milliseconds / documents.length, unit: 'ms a prompt' },
  ]
}

function countTokens(messages: readonly { content: string }[]): number {
  return messages.reduce((sum, { content }) => sum + tokenizer.count(content), 0)
}

function sceneOf(demonstration: Demonstration | undefined): Record<string, string> {
  const { user, motivation, scene, ability, knowledge, extraInformation, output } = demonstration as Demonstration
  return { user, motivation, scene, ability, knowledge, extraInformation, output }
}
