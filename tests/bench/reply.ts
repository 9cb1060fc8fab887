/** Reply reading: what it takes of the table of replies, what it takes wrongly (nothing), and how fast it reads. */
import { replyCases } from '../fixtures/replies/index.ts'
import { report, type ScriptOptions } from '../support/figures.ts'
import { countTaken, outcomeOf, outcomeOfRegularExpression } from '../support/replies.ts'

export async function run(options: ScriptOptions): Promise<void> {
  const ours = countTaken(replyCases, outcomeOf)
  const expression = countTaken(replyCases, outcomeOfRegularExpression)
  const { taken, refused } = speeds(options.short ? 50 : 500)
  report(
    'reply',
    [
      { name: 'replies in the table', value: replyCases.length, goal: { least: 60 } },
      { name: 'usable ones', value: ours.usable },
      { name: 'taken', value: ours.taken, goal: { least: ours.usable } },
      { name: 'wrong accepts', value: ours.wrong, goal: { most: 0 } },
      { name: 'taken by one regular expression', value: expression.taken },
      { name: 'wrong accepts of one regular expression', value: expression.wrong },
      { name: 'speed, replies that are taken', value: taken, unit: 'MB/s' },
      { name: 'speed, replies that are refused', value: refused, unit: 'MB/s' },
    ],
    options,
  )
}

function speeds(rounds: number): { taken: number; refused: number } {
  const isUsable = ({ wanted }: (typeof replyCases)[number]) => typeof wanted !== 'string'
  const speed = (cases: typeof replyCases) => {
    const bytes = rounds * cases.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0)
    const start = performance.now()
    for (let round = 0; round < rounds; round++) for (const one of cases) outcomeOf(one)
    return bytes / 1e6 / ((performance.now() - start) / 1000)
  }
  return { taken: speed(replyCases.filter(isUsable)), refused: speed(replyCases.filter(one => !isUsable(one))) }
}
