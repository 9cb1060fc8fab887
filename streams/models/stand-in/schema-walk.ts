import type { Excerpt } from './excerpt.ts'
import type { Random } from './random.ts'

export type Writer = (excerpt: Excerpt, random: Random) => string | number | string[]

type Json = null | boolean | number | string | Json[] | { [name: string]: Json }
type Node = Record<string, unknown>

const maxDepth = 12

/**
 * Fills a JSON schema: a property that has a writer, or the items of one that is a list, with what the writer gives, or
 * a list as a whole where the writer is called after it with `[]`; any other text with a sentence of the excerpt, and numbers, lists and choices within their limits.
 */
export function answerSchema(
  schema: Node,
  writers: Readonly<Record<string, Writer>>,
  excerpt: Excerpt,
  random: Random,
): Json {
  return new SchemaWalk(schema, writers, excerpt, random).answer(schema, '', 0)
}

class SchemaWalk {
  readonly #root: Node
  readonly #writers: Readonly<Record<string, Writer>>
  readonly #excerpt: Excerpt
  readonly #random: Random

  constructor(root: Node, writers: Readonly<Record<string, Writer>>, excerpt: Excerpt, random: Random) {
    this.#root = root
    this.#writers = writers
    this.#excerpt = excerpt
    this.#random = random
  }

  answer(schema: unknown, name: string, depth: number): Json {
    const node = this.#resolve(schema)
    if (depth > maxDepth) return null
    if ('const' in node) return node.const as Json
    const write = isLeaf(node) && Object.hasOwn(this.#writers, name) ? this.#writers[name] : undefined
    if (write) return this.#fit(node, write(this.#excerpt, this.#random))
    if (Array.isArray(node.enum)) return (node.enum[this.#random.integer(node.enum.length)] ?? null) as Json
    const choices = [node.anyOf, node.oneOf].find(Array.isArray)
    if (choices)
      return this.answer(
        choices.find(choice => typeOf(this.#resolve(choice)) !== 'null'),
        name,
        depth + 1,
      )
    switch (typeOf(node)) {
      case 'object':
        return this.#object(node, depth)
      case 'array':
        return this.#list(node, name, depth)
      case 'integer':
      case 'number':
        return this.#number(node)
      case 'boolean':
        return this.#random.next() < 0.5
      case 'null':
        return null
      default:
        return this.#fit(node, `About ${this.#excerpt.phrase(this.#random)}.`)
    }
  }

  #object(node: Node, depth: number): Json {
    const entries = Object.entries(isNode(node.properties) ? node.properties : {})
    return Object.fromEntries(entries.map(([name, inner]) => [name, this.answer(inner, name, depth + 1)]))
  }

  #list(node: Node, name: string, depth: number): Json {
    const write = Object.hasOwn(this.#writers, `${name}[]`) ? this.#writers[`${name}[]`] : undefined
    if (write) return this.#choices(node.items, [write(this.#excerpt, this.#random)].flat())
    const least = numberOr(node.minItems, 1)
    const count = Math.min(least + this.#random.integer(3), numberOr(node.maxItems, 1_000))
    return Array.from({ length: count }, () => this.answer(node.items, name, depth + 1))
  }

  /** Those that the schema of the items allows. */
  #choices(items: unknown, values: readonly (string | number)[]): Json {
    const { enum: allowed } = this.#resolve(items)
    return values.filter(value => !Array.isArray(allowed) || allowed.includes(value))
  }

  #number(node: Node): number {
    const least = Math.ceil(
      numberOr(node.minimum, numberOr(node.exclusiveMinimum, 0) + ('exclusiveMinimum' in node ? 1 : 0)),
    )
    const most = Math.floor(
      numberOr(node.maximum, numberOr(node.exclusiveMaximum, least + 11) - ('exclusiveMaximum' in node ? 1 : 0)),
    )
    return least + this.#random.integer(Math.max(1, Math.min(most - least, 1_000_000) + 1))
  }

  #fit(node: Node, value: string | number | string[]): Json {
    if (typeof value !== 'string' || typeof node.maxLength !== 'number') return value
    return value.slice(0, node.maxLength).toWellFormed()
  }

  #resolve(schema: unknown): Node {
    let node = schema
    for (let steps = 0; isNode(node) && typeof node.$ref === 'string' && steps < maxDepth; steps++) {
      const path = node.$ref.split('/').slice(1)
      node = path.reduce<unknown>((inner, part) => (isNode(inner) ? inner[part] : undefined), this.#root)
    }
    return isNode(node) ? node : {}
  }
}

function typeOf(node: Node): unknown {
  if (Array.isArray(node.type)) return node.type.find(type => type !== 'null') ?? 'null'
  return node.type ?? ('properties' in node ? 'object' : 'string')
}

function isLeaf(node: Node): boolean {
  return !['object', 'array'].includes(String(typeOf(node))) && !('anyOf' in node) && !('oneOf' in node)
}

function isNode(value: unknown): value is Node {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

function numberOr(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise
}
