import { SituError } from '../../schemas/errors.ts'
import { closestName } from '../terminal/closest-name.ts'
import { html } from './html.ts'
import { json } from './json.ts'
import { jsonl } from './jsonl.ts'
import { markdown } from './markdown.ts'
import type { Source } from './source.ts'
import { text } from './text.ts'

/** Every format, in the order in which they are asked whether an input looks like them. */
export const sources: readonly Source[] = [jsonl, json, html, markdown, text]

/** Values of --format. */
export const sourceNames: readonly string[] = sources.map(source => source.name)

/** @throws {SituError} USAGE, with the nearest name. */
export function sourceNamed(name: string): Source {
  const source = sources.find(each => each.name === name)
  if (source) return source
  throw new SituError('USAGE', `--format: unknown format ${name}${closestName(name, sourceNames)}`)
}

/** The format that a file's name tells, whether the file is packed or not. */
export function sourceOfName(fileName: string): Source | null {
  const name = fileName.toLowerCase().replace(/\.gz$/, '')
  return sources.find(({ endings }) => endings.some(ending => name.endsWith(ending))) ?? null
}

/** The format that the first bytes look like. */
export function sourceOfHead(head: Uint8Array): Source {
  return sources.find(source => source.detect(head)) ?? text
}
