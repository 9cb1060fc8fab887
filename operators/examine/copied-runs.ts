import { joinUnits, weightOf, wordWeight } from '../text-units.ts'

/** Fewer words in a row are common to any two texts about one matter. */
const leastRunWeight = 8 * wordWeight

/** Places looked at for each two words: a text that repeats two words thousands of times would take for ever. */
const mostPlaces = 64

export interface CopiedRuns {
  /** Weight of the units in runs, of that of all units, 0 to 1. */
  share: number
  /** Words of the longest run, as they are compared; empty where there is none. */
  longest: string
}

/** Finds what stands word for word in the document too, in runs of at least 8 words. */
export function copiedRuns(units: readonly string[], documentUnits: readonly string[]): CopiedRuns {
  const places = placesOfPairs(units, documentUnits)
  let copied = 0
  let longest: readonly string[] = []
  for (let at = 0; at < units.length; ) {
    const length = longestFrom(units, at, documentUnits, places)
    const run = units.slice(at, at + length)
    const weight = weightOfAll(run)
    if (weight < leastRunWeight) {
      at += 1
      continue
    }
    copied += weight
    if (weight > weightOfAll(longest)) longest = run
    at += length
  }
  const all = weightOfAll(units)
  return { share: all === 0 ? 0 : copied / all, longest: joinUnits(longest) }
}

/** Where each two units in a row that the instruction has begin in the document. */
function placesOfPairs(units: readonly string[], documentUnits: readonly string[]): Map<string, number[]> {
  const places = new Map<string, number[]>()
  for (let at = 0; at + 1 < units.length; at += 1) places.set(pair(units, at), [])
  for (let at = 0; at + 1 < documentUnits.length; at += 1) {
    const known = places.get(pair(documentUnits, at))
    if (known && known.length < mostPlaces) known.push(at)
  }
  return places
}

function longestFrom(
  units: readonly string[],
  start: number,
  documentUnits: readonly string[],
  places: ReadonlyMap<string, readonly number[]>,
): number {
  let longest = 0
  for (const place of places.get(pair(units, start)) ?? []) {
    let length = 2
    while (start + length < units.length && units[start + length] === documentUnits[place + length]) length += 1
    longest = Math.max(longest, length)
  }
  return longest
}

function pair(units: readonly string[], at: number): string {
  return `${units[at]} ${units[at + 1]}`
}

function weightOfAll(units: readonly string[]): number {
  return units.reduce((sum, unit) => sum + weightOf(unit), 0)
}
