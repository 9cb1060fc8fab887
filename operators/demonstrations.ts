import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { messageOf, SituError } from '../schemas/errors.ts'
import { canonicalJson, hash } from './hash.ts'

/** A worked example of the method: a document, the situation made from it and the instruction made from both. */
export interface Demonstration {
  /** Hash of all other fields. */
  id: string
  /** Such as law, cooking, software. */
  domain: string
  /** The document, or the part of it that matters. */
  document: string
  user: string
  motivation: string
  scene: string
  ability: string
  knowledge: string
  extraInformation: string
  output: string
  /** Notes before the instruction: what makes it hard, what of the document it must carry. */
  thought: string
  instruction: string
}

/** A fixed set of demonstrations, named by the hash of its content. */
export interface DemonstrationSnapshot {
  readonly hash: string
  /** JSON of the demonstrations: what `hash` is the hash of. */
  readonly text: string
  readonly demonstrations: readonly Demonstration[]
  /** Draws without replacement; the order depends on (seed, snapshot hash) alone. */
  draw(seed: string, count: number): readonly Demonstration[]
}

const text = z.string().refine(value => value.trim() !== '', 'is empty')

const fields = z.strictObject({
  domain: text,
  document: text,
  user: text,
  motivation: text,
  scene: text,
  ability: text,
  knowledge: text,
  extraInformation: text,
  output: text,
  thought: text,
  instruction: text,
})

// An id in a file is not believed: it is made from the fields again, so that an edited file needs no care.
const file = z.array(fields.extend({ id: z.string().optional() }))

/** The demonstration that a record holds, under the id that its fields have; null where a field is empty. */
export function toDemonstration(record: object): Demonstration | null {
  const named = fields.strip().safeParse(record)
  return named.success ? withId(named.data) : null
}

/** A snapshot of these demonstrations, in this order; each gets its id. */
export function createSnapshot(demonstrations: readonly Omit<Demonstration, 'id'>[]): DemonstrationSnapshot {
  return new Snapshot(demonstrations)
}

let builtIn: DemonstrationSnapshot | null = null

/** The demonstrations that Situ brings along. */
export function builtInSnapshot(): DemonstrationSnapshot {
  const url = new URL('./demonstrations/built-in.json', import.meta.url)
  builtIn ??= parseSnapshot(readFileSync(url, 'utf8'), 'built-in demonstrations')
  return builtIn
}

/**
 * Reads a snapshot's text, or a file that a user wrote.
 *
 * @param source - What the text is, for the error.
 * @throws {SituError} CONFIGURATION_INVALID with the first problems, each with its place.
 */
export function parseSnapshot(content: string, source = 'demonstrations'): DemonstrationSnapshot {
  let value: unknown
  try {
    value = JSON.parse(content)
  } catch (cause) {
    throw new SituError('CONFIGURATION_INVALID', `${source}: no JSON (${messageOf(cause)})`, { cause })
  }
  const checked = file.safeParse(value)
  if (!checked.success) {
    const problems = checked.error.issues.slice(0, 5).map(({ path, message }) => `${place(path)} ${message}`)
    throw new SituError('CONFIGURATION_INVALID', `${source}: ${problems.join('; ')}`, { cause: checked.error })
  }
  const snapshot = new Snapshot(checked.data)
  const ids = snapshot.demonstrations.map(({ id }) => id)
  const repeat = ids.findIndex((id, index) => ids.indexOf(id) !== index)
  if (repeat !== -1) {
    const first = ids.indexOf(ids[repeat] ?? '')
    throw new SituError('CONFIGURATION_INVALID', `${source}: [${repeat}] is the same as [${first}]`)
  }
  return snapshot
}

function place(path: readonly PropertyKey[]): string {
  const [index, ...rest] = path
  return index === undefined ? 'the whole' : `[${String(index)}]${rest.map(name => `.${String(name)}`).join('')}`
}

function withId(named: Omit<Demonstration, 'id'>): Demonstration {
  return { id: hash(canonicalJson(named)), ...named }
}

class Snapshot implements DemonstrationSnapshot {
  readonly demonstrations: readonly Demonstration[]
  readonly text: string
  readonly hash: string

  constructor(demonstrations: readonly Omit<Demonstration, 'id'>[]) {
    this.demonstrations = demonstrations.map(demonstration => withId(fields.strip().parse(demonstration)))
    this.text = canonicalJson(this.demonstrations)
    this.hash = hash(this.text)
  }

  draw(seed: string, count: number): readonly Demonstration[] {
    const { length } = this.demonstrations
    // The beginning of a Fisher-Yates shuffle; only what was swapped is kept, so that a large snapshot costs nothing.
    const swapped = new Map<number, number>()
    const drawn: Demonstration[] = []
    for (let at = 0; at < Math.min(count, length); at += 1) {
      const chosen = at + randomBelow(length - at, hash(this.hash, seed, String(at)))
      const demonstration = this.demonstrations[swapped.get(chosen) ?? chosen]
      swapped.set(chosen, swapped.get(at) ?? at)
      if (demonstration) drawn.push(demonstration)
    }
    return drawn
  }
}

/** 48 bits of a hash: the lean towards small numbers is below 2^-40 for any snapshot that fits in memory. */
function randomBelow(limit: number, seed: string): number {
  return Number.parseInt(seed.slice(0, 12), 16) % limit
}
