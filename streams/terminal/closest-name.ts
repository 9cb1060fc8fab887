import { closest, distance } from 'fastest-levenshtein'

/** The known name that is near enough to be meant; null where none is. */
export function nearestName(name: string, known: readonly string[]): string | null {
  if (known.length === 0) return null
  const nearest = closest(name, known as string[])
  return distance(name, nearest) <= Math.max(2, name.length / 3) ? nearest : null
}

/** `: did you mean X?` where a known name is near, else the list of the known ones. */
export function closestName(name: string, known: readonly string[]): string {
  if (known.length === 0) return ''
  const nearest = nearestName(name, known)
  return nearest === null ? ` (there are: ${known.join(', ')})` : `: did you mean ${nearest}?`
}
