import { createTokenizer } from '../../operators/gpt-tokenizer.ts'
import { hash } from '../../operators/hash.ts'
import type { Excerpt, Records } from '../../schemas/records.ts'
import { contentId } from '../identity.ts'
import type { InputItem } from '../inputs/read-inputs.ts'

/** Topics that an ingest may write, each with how an input becomes a record of it. */
export const ingestRecords = {
  page({ content, format, url, title, source }: InputItem): Records['page'] {
    return { id: contentId(content), url, title, content, format, source }
  },

  article({ content, url, title, source }: InputItem): Records['article'] {
    return { id: contentId(content), url, title, text: content, language: null, source, input: null }
  },

  instruction(item: InputItem): Records['instruction'] {
    return { ...asked(item), thought: '', situation: null, provenance: null }
  },

  'real-instruction'(item: InputItem): Records['real-instruction'] {
    return asked(item)
  },
} as const

export type IngestNoun = keyof typeof ingestRecords

export const ingestNouns = Object.keys(ingestRecords) as IngestNoun[]

/** Whether an ingest may write the topic of an operator beside it. */
export function isIngestNoun(noun: string): noun is IngestNoun {
  return Object.hasOwn(ingestRecords, noun)
}

/** An instruction that was made elsewhere; the same one with another document is another one. */
function asked({ content, fields, source }: InputItem): Records['real-instruction'] {
  const document = documentOf(fields?.document)
  return {
    id: document ? hash(content, document.text) : contentId(content),
    text: content,
    language: languageOf(fields?.language),
    document,
    source: nameOf(source, fields?.id),
  }
}

const tokenizer = createTokenizer()

function documentOf(value: unknown): Excerpt | null {
  if (value === null || typeof value !== 'object') return null
  const { title, url, text, language } = value as Record<string, unknown>
  const content = textOf(text)
  if (content === null) return null
  const facts = { url: textOf(url), title: textOf(title), language: languageOf(language) }
  return { id: contentId(content), ...facts, text: content, tokens: tokenizer.count(content) }
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value.trim() !== '' ? value.toWellFormed() : null
}

/** Such as en, of en-GB too; null for what is no code. */
function languageOf(value: unknown): string | null {
  return (typeof value === 'string' && /^([a-z]{2,3})(?:[-_]|$)/.exec(value.trim().toLowerCase())?.[1]) || null
}

/** Such as `set.jsonl line 12 (seed_task_3)`. */
function nameOf(source: string, id: unknown): string {
  return typeof id === 'string' || typeof id === 'number' ? `${source} (${String(id).slice(0, 200)})` : source
}
