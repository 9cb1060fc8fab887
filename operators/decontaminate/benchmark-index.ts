import { HashTable } from '../dedup/hash-table.ts'
import { canonicalJson, hash } from '../hash.ts'
import { joinUnits, unitsOf, weightOf, wordWeight } from '../text-units.ts'
import { UnitHashes } from './unit-hashes.ts'

/** A prompt of a benchmark, on which models are measured: what is trained on must not hold it. */
export interface BenchmarkPrompt {
  /** Name of the benchmark, such as that of its file. */
  benchmark: string
  id: string
  text: string
}

export interface BenchmarkMatch {
  id: string
  benchmark: string
  /** What both texts hold: words in lower case without punctuation. */
  ngram: string
}

const ngramWeight = 13 * wordWeight
/** A shorter prompt ("Can you explain it?") stands in many a text that has nothing to do with the benchmark. */
const leastWeight = 5 * wordWeight

/**
 * Finds benchmark prompts in texts: any 13 words in a row that a prompt holds too; a shorter prompt as a whole, and one
 * below 5 words where it is the whole text. In scripts without spaces 5 characters count as 3 words (22 for 13).
 *
 * Case, punctuation, spacing and Unicode form are folded. Hashes find and words verify: no collision is a match. Holds
 * each different word once and about 12 bytes for each word of the prompts.
 */
export class BenchmarkIndex {
  /** Of all prompts, in any order: another set gives other results. */
  readonly hash: string
  /** Prompts, repeats among them. */
  readonly size: number
  readonly #prompts: { benchmark: string; id: string }[] = []
  /** From each unit of the prompts to its number; 0 is any other. */
  readonly #numbers = new Map<string, number>()
  readonly #weights: number[] = [wordWeight]
  /** Units of all prompts by their numbers, one prompt after the other. */
  readonly #units: Uint32Array
  /** Where each prompt begins in `#units`; last, where the last one ends. */
  readonly #starts: number[] = [0]
  /** From the hash of an n-gram to its place in `#units`. */
  readonly #ngrams = new HashTable()
  /** From the hash of a prompt that is shorter than an n-gram to its place in `#units`. */
  readonly #shorts = new HashTable()
  readonly #shortLengths = new Set<number>()

  constructor(prompts: Iterable<BenchmarkPrompt>) {
    const sorted = Array.from(prompts, ({ benchmark, id, text }) => ({ benchmark, id, text })).sort(byNames)
    this.hash = hash(sorted.map(canonicalJson).join('\n'))
    this.size = sorted.length
    const units: number[] = []
    for (const { benchmark, id, text } of sorted) {
      for (const unit of unitsOf(text)) units.push(this.#number(unit))
      this.#prompts.push({ benchmark, id })
      this.#starts.push(units.length)
    }
    this.#units = Uint32Array.from(units)
    for (const prompt of this.#prompts.keys()) this.#add(this.#starts[prompt] ?? 0, this.#starts[prompt + 1] ?? 0)
  }

  /** The first place of the text that is a prompt's; of several prompts that hold it the first by benchmark and id. */
  find(text: string): BenchmarkMatch | null {
    const units = unitsOf(text)
    const numbers = Uint32Array.from(units, unit => this.#numbers.get(unit) ?? 0)
    const hashes = new UnitHashes(numbers)
    let known = 0
    for (let start = 0; start < numbers.length; start += 1) {
      known = Math.max(known, start)
      while (known < numbers.length && numbers[known] !== 0) known += 1
      const found = this.#findAt(numbers, hashes, start, known)
      if (!found) continue
      const [place, end] = found
      return { ...this.#promptAt(place), ngram: joinUnits(units.slice(start, end)) }
    }
    return null
  }

  #number(unit: string): number {
    const known = this.#numbers.get(unit)
    if (known !== undefined) return known
    const number = this.#weights.push(weightOf(unit)) - 1
    // A copy, since a part of a text keeps the whole text in memory.
    this.#numbers.set(Buffer.from(unit).toString(), number)
    return number
  }

  /** Adds the prompt of these places. */
  #add(start: number, end: number): void {
    if (start === end) return
    const numbers = this.#units.subarray(start, end)
    const hashes = new UnitHashes(numbers)
    if (this.#ngramEnd(numbers, 0, numbers.length) === null) {
      this.#shortLengths.add(numbers.length)
      this.#addTo(this.#shorts, numbers, hashes.of(0, numbers.length), start)
      return
    }
    for (let at = 0; at < numbers.length; at += 1) {
      const ngramEnd = this.#ngramEnd(numbers, at, numbers.length)
      if (ngramEnd === null) return
      this.#addTo(this.#ngrams, numbers.subarray(at, ngramEnd), hashes.of(at, ngramEnd), start + at)
    }
  }

  #addTo(table: HashTable, numbers: Uint32Array, key: number, place: number): void {
    if (this.#placeOf(table, numbers, key) === null) table.add(key, place)
  }

  /** @param known - Up to where all units of the text from `start` on are those of prompts. */
  #findAt(numbers: Uint32Array, hashes: UnitHashes, start: number, known: number): [place: number, end: number] | null {
    const ngramEnd = this.#ngramEnd(numbers, start, known)
    if (ngramEnd !== null) {
      const place = this.#placeOf(this.#ngrams, numbers.subarray(start, ngramEnd), hashes.of(start, ngramEnd))
      if (place !== null) return [place, ngramEnd]
    }
    for (const length of this.#shortLengths) {
      const end = start + length
      if (end > known) continue
      const place = this.#placeOf(this.#shorts, numbers.subarray(start, end), hashes.of(start, end))
      if (place !== null && (length === numbers.length || this.#weightOf(numbers, start, end) >= leastWeight)) {
        return [place, end]
      }
    }
    return null
  }

  /** Behind the n-gram that begins here; null where less is left. */
  #ngramEnd(numbers: Uint32Array, start: number, limit: number): number | null {
    let weight = 0
    for (let at = start; at < limit; at += 1) {
      weight += this.#weights[numbers[at] ?? 0] ?? 0
      if (weight >= ngramWeight) return at + 1
    }
    return null
  }

  #weightOf(numbers: Uint32Array, start: number, end: number): number {
    return numbers.subarray(start, end).reduce((sum, number) => sum + (this.#weights[number] ?? 0), 0)
  }

  #placeOf(table: HashTable, numbers: Uint32Array, key: number): number | null {
    let found: number | null = null
    table.each(key, place => {
      if (found !== null && found < place) return
      if (numbers.every((number, at) => this.#units[place + at] === number)) found = place
    })
    return found
  }

  #promptAt(place: number): { benchmark: string; id: string } {
    const prompt = this.#starts.findLastIndex(start => start <= place)
    return this.#prompts[prompt] ?? { benchmark: '', id: '' }
  }
}

function byNames(left: BenchmarkPrompt, right: BenchmarkPrompt): number {
  return compare(left.benchmark, right.benchmark) || compare(left.id, right.id) || compare(left.text, right.text)
}

function compare(left: string, right: string): number {
  if (left === right) return 0
  return left < right ? -1 : 1
}
