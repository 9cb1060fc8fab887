import { SituError } from '../../schemas/errors.ts'
import { closestName } from '../terminal/closest-name.ts'
import { jsonl } from './jsonl.ts'
import type { Sink } from './sink.ts'

/** Every format that situ export writes. */
export const sinks: readonly Sink[] = [jsonl]

/** Values of --format. */
const sinkNames: readonly string[] = sinks.map(sink => sink.name)

/**
 * The sink of a format; without one that of the file's ending, packed or not; for stdout the first.
 *
 * @throws {SituError} USAGE
 */
export function sinkFor(path: string, format?: string | null): Sink {
  if (format) {
    const named = sinks.find(sink => sink.name === format)
    if (!named) throw new SituError('USAGE', `--format: unknown format ${format}${closestName(format, sinkNames)}`)
    return named
  }
  const name = path.toLowerCase().replace(/\.gz$/, '')
  const sink = path === '-' ? sinks[0] : sinks.find(({ endings }) => endings.some(ending => name.endsWith(ending)))
  if (sink) return sink
  const endings = sinks.flatMap(each => each.endings).join(', ')
  throw new SituError('USAGE', `--out: the ending of ${path} tells no format (${endings}): name one with --format`)
}
