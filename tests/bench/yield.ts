/**
 * Replies of a real and very small model to every step of the recipe `paper`, with a grammar and without: how many are
 * taken, and how many of those are no answer, beside the regular expression of the reference code.
 */
import { startModelServer } from '../services/model-server.ts'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import { removeFolder, temporaryFolder } from '../support/situ.ts'
import { readAsOperator, readAsReference, runTiny, tinySteps, yieldOf } from '../support/tiny-branch.ts'

export async function run(options: ScriptOptions): Promise<void> {
  const documents = Number(options.values.documents ?? (options.short ? 3 : 10))
  const instructions = Number(options.values.instructions ?? (options.short ? 2 : 5))
  const server = await startModelServer()
  try {
    for (const structuredOutput of ['json_schema', 'none'] as const) {
      const folder = temporaryFolder()
      try {
        const { status, seconds, replies, letters } = await runTiny(folder, server, {
          instructions,
          documents,
          structuredOutput,
        })
        const ours = yieldOf(replies, readAsOperator)
        const reference = yieldOf(replies, readAsReference)
        report(
          `yield, ${structuredOutput}`,
          [
            { name: 'time', value: seconds, unit: 's' },
            { name: 'replies', value: ours.replies },
            { name: 'taken', value: ours.taken },
            { name: 'taken, but no answer', value: ours.wrong, goal: { most: 0 } },
            { name: 'taken by the regular expression of the reference code', value: reference.taken },
            { name: 'taken by it, but no answer', value: reference.wrong },
            ...tinySteps.flatMap((step): Figure[] => {
              const own = yieldOf(replies, readAsOperator, step)
              if (own.replies === 0) return []
              return [
                { name: `${step}: share of ${own.replies} replies that is taken`, value: own.taken / own.replies },
              ]
            }),
            { name: 'dead letters', value: letters.length },
            {
              name: 'of them without evidence',
              value: letters.filter(({ evidence }) => evidence.text === '').length,
              goal: { most: 0 },
            },
            { name: 'conservation broken', value: status.conservation === 'ok' ? 0 : 1, goal: { most: 0 } },
          ],
          options,
        )
      } finally {
        removeFolder(folder)
      }
    }
  } finally {
    await server.stop()
  }
}
