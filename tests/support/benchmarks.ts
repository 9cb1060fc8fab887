import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BenchmarkPrompt } from '../../operators/decontaminate/benchmark-index.ts'
import { readBenchmark } from '../../operators/decontaminate/read-benchmark.ts'
import { sharedData } from './documents.ts'

const folder = join(sharedData, 'benchmarks')

export const hasBenchmarks = existsSync(folder)

/** The prompts of the shared benchmarks, by the names of their files. */
export function readBenchmarks(): Map<string, BenchmarkPrompt[]> {
  const files = hasBenchmarks ? readdirSync(folder).filter(name => name.endsWith('.jsonl')) : []
  return new Map(
    files.map(file => {
      const name = file.replace(/\.jsonl$/, '')
      return [name, readBenchmark(readFileSync(join(folder, file), 'utf8'), name)]
    }),
  )
}

const persons = [
  '新しい店を開く友人',
  '海外から来た留学生',
  '初めて父親になる兄',
  '退職したばかりの祖父',
  '夜勤の看護師',
  '中学二年生の妹',
]
const matters = [
  '確定申告の手順',
  '味噌の仕込み方',
  '地震の備え',
  '円安の原因',
  '俳句の季語',
  '自転車の修理',
  '年金の仕組み',
  '台風の進路',
]
const forms = [
  '三つの例を挙げて分かりやすく説明してください。',
  '表にまとめ、最後に注意点を一つ書いてください。',
  '百字以内で教えてください。',
  '会話の形で書き、専門用語には読み仮名を付けてください。',
]
const demands = ['', '反対の意見も公平に取り上げること。', '数字には出典を添え、推測は推測と明記すること。']

/** Prompts in Japanese, which the shared benchmarks lack: some shorter than 22 characters, most longer. */
export const japanesePrompts: readonly BenchmarkPrompt[] = [
  ...matters.map(matter => `${matter}を説明してください。`),
  ...persons.flatMap(person =>
    matters.flatMap(matter =>
      forms.map((form, at) => `${person}のために、${matter}を${form}${demands[at % demands.length]}`),
    ),
  ),
].map((text, at) => ({ benchmark: 'japanese', id: String(at + 1), text }))
