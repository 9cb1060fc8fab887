import { describe, expect, it } from 'vitest'
import { BenchmarkIndex } from '../../operators/decontaminate/benchmark-index.ts'
import { type DecontaminateOptions, decontaminate } from '../../operators/decontaminate.ts'
import { type Context, Drop } from '../../operators/operator.ts'
import type { Article } from '../../schemas/records.ts'

const prompt = 'Explain to a child of nine why the figure skater spins faster when she pulls her arms in.'
const benchmarks = new BenchmarkIndex([{ benchmark: 'mt-bench', id: '95/2', text: prompt }])

const operator = decontaminate({
  name: 'decontaminate',
  from: 'article',
  to: 'document',
  keep: ({ url, title, text, language, source }) => ({ url, title, text, language, source }),
})

function article(text: string): Article {
  return { id: 'a', url: null, title: null, text, language: 'en', source: 'a.jsonl#1', input: null }
}

async function outcomeOf(text: string) {
  return operator.apply(article(text), { benchmarks } as Context<DecontaminateOptions>)
}

describe('decontaminate', () => {
  it('drops a text that holds a prompt, and says which prompt and what of it', async () => {
    const outcome = await outcomeOf(`Dear all, please ${prompt.toLowerCase()} Thanks!`)
    expect(outcome).toEqual(
      new Drop('benchmark_prompt', {
        detail: 'prompt 95/2 of mt-bench: explain to a child of nine why the figure skater spins faster when',
      }),
    )
    expect(operator.reasons).toEqual(['benchmark_prompt'])
  })

  it('passes any other text on as the stage says', async () => {
    const text = 'Explain to a child of ten why the figure skater falls.'
    expect(await outcomeOf(text)).toEqual([{ url: null, title: null, text, language: 'en', source: 'a.jsonl#1' }])
  })

  it('declares that it needs benchmarks', () => {
    expect(operator.benchmarks).toBe(true)
  })
})
