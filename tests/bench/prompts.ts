// How many demonstrations fit beside real documents, and how near the prompts come to their limit.
// Run: node tests/bench/prompts.ts [documents]
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { compose, promptOptions } from '../../operators/composition.ts'
import { builtInSnapshot, type Demonstration } from '../../operators/demonstrations.ts'
import { createTokenizer } from '../../operators/gpt-tokenizer.ts'
import { instruct } from '../../operators/instruct.ts'
import { Prompt } from '../../operators/prompt.ts'
import { situate } from '../../operators/situate.ts'

const file = new URL('../../../shared/data/corpus/documents.jsonl.gz', import.meta.url)
const lines = gunzipSync(readFileSync(file)).toString().trim().split('\n')
const wanted = Number(process.argv[2] ?? 300)
const step = Math.max(1, Math.floor(lines.length / wanted))
const documents = lines.filter((_, index) => index % step === 0).map(line => JSON.parse(line) as Page)
const tokenizer = createTokenizer()
const snapshot = builtInSnapshot()
const options = promptOptions.parse({})

interface Page {
  url: string
  title: string
  text: string
}

function load(name: string, fields: readonly string[] = []): Prompt {
  return new Prompt(name, readFileSync(new URL(`../../operators/prompts/${name}.md`, import.meta.url), 'utf8'), fields)
}

function median(numbers: number[]): number {
  return numbers.toSorted((left, right) => left - right)[numbers.length >> 1] ?? Number.NaN
}

function report(prompt: Prompt, valuesOf: (page: Page) => Record<string, string>): void {
  const fitted: number[] = []
  const sizes: number[] = []
  let seconds = 0
  for (const page of documents) {
    const subject = { document: page.text, values: valuesOf(page) }
    const demonstrations = snapshot.draw(page.url, options.demonstrations)
    const start = performance.now()
    const composition = compose(subject, { prompt, options, tokenizer, demonstrations })
    seconds += (performance.now() - start) / 1000
    fitted.push(composition.demonstrations.length)
    sizes.push(composition.messages.reduce((sum, { content }) => sum + tokenizer.count(content), 0))
  }
  const fixed = prompt.fill({}, []).reduce((sum, { content }) => sum + tokenizer.count(content), 0)
  const each = snapshot.demonstrations.map(one => tokenizer.count(prompt.demonstrate(one, 1)))
  console.log(`\n${prompt.operator}: ${documents.length} documents, fixed part ${fixed} tokens`)
  console.log(`  demonstration: mean ${Math.round(mean(each))}, most ${Math.max(...each)} tokens`)
  console.log(`  fitted: median ${median(fitted)}, mean ${mean(fitted).toFixed(1)}`)
  for (let count = 0; count <= options.demonstrations; count += 1) {
    const share = fitted.filter(one => one === count).length
    if (share > 0)
      console.log(`  ${String(count).padStart(4)} ${'#'.repeat(Math.ceil((share * 60) / fitted.length))} ${share}`)
  }
  console.log(`  prompt: median ${median(sizes)}, most ${Math.max(...sizes)} of ${options.maxPromptTokens} tokens`)
  console.log(`  ${((seconds * 1000) / documents.length).toFixed(2)} ms a prompt`)
}

function mean(numbers: number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length
}

function sceneOf(demonstration: Demonstration | undefined): Record<string, string> {
  const { user, motivation, scene, ability, knowledge, extraInformation, output } = demonstration as Demonstration
  return { user, motivation, scene, ability, knowledge, extraInformation, output }
}

const lengths = documents.map(({ text }) => tokenizer.count(text))
console.log(`documents: median ${median(lengths)} tokens; snapshot ${snapshot.demonstrations.length} demonstrations`)
report(load('situate', situate.prompt?.fields), ({ title, url }) => ({ title, url, language: 'en' }))
report(load('instruct', instruct.prompt?.fields), ({ title, url }) => ({
  title,
  language: 'en',
  ...sceneOf(snapshot.draw(`${url}#scene`, 1)[0]),
}))
