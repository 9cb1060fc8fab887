import { closest, distance } from 'fastest-levenshtein'

/** `: did you mean X?` where a known name is near, else the list of the known ones. */
export function closestName(name: string, known: readonly string[]): string {
  if (known.length === 0) return ''
  const nearest = closest(name, known as string[])
  if (distance(name, nearest) <= Math.max(2, name.length / 3)) return `: did you mean ${nearest}?`
  return ` (there are: ${known.join(', ')})`
}
