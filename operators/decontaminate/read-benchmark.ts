import { z } from 'zod'
import { messageOf, SituError } from '../../schemas/errors.ts'
import type { BenchmarkPrompt } from './benchmark-index.ts'

const row = z.object({
  id: z.union([z.string().min(1), z.number()], 'expected a number, or a string that is not empty').transform(String),
  text: z.string().refine(text => text.trim() !== '', 'is empty'),
})

/**
 * Reads the prompts of a benchmark: JSON lines with `id` and `text`; other fields are left out.
 *
 * @param benchmark - Its name, which each prompt carries.
 * @throws {SituError} CONFIGURATION_INVALID with the line and what is wrong with it.
 */
export function readBenchmark(content: string, benchmark: string): BenchmarkPrompt[] {
  return content.split('\n').flatMap((line, at) => {
    if (line.trim() === '') return []
    const checked = row.safeParse(parse(line, `benchmark ${benchmark}, line ${at + 1}`))
    if (checked.success) return [{ benchmark, ...checked.data }]
    const [issue] = checked.error.issues
    throw new SituError(
      'CONFIGURATION_INVALID',
      `benchmark ${benchmark}, line ${at + 1}: ${issue?.path.join('.') || 'the row'}: ${issue?.message} (${line.slice(0, 100)})`,
    )
  })
}

function parse(line: string, where: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw new SituError('CONFIGURATION_INVALID', `${where}: no JSON (${messageOf(cause)})`, { cause })
  }
}
