import type { Random } from './random.ts'

const windowChars = 2_400
const sentenceEnd = /[.!?…]["'”’)\]]*\s+|[。！？][”’」』）]*|\s*\n\s*/g
const longWord = /(?!https?\b)\p{L}[\p{L}\p{M}\p{N}'’-]{3,29}[\p{L}\p{M}\p{N}]/gu
const maxSentenceChars = 400

/** A few sentences of a document, from a random place, with the words that stand out in them. */
export class Excerpt {
  /** What it is taken from. */
  readonly document: string
  /** The sentences as they follow one another; empty only for an empty document. */
  readonly text: string
  readonly sentences: readonly string[]
  /** Words of five letters and more; parts of the text where there are none. Never empty. */
  readonly words: readonly string[]

  constructor(document: string, random: Random) {
    this.document = document
    const wanted = 350 + random.integer(500)
    // Only a window is looked at, so that a huge document costs no more than a small one.
    const start = document.length <= wanted ? 0 : random.integer(document.length - wanted)
    const found = splitSentences(document.slice(start, start + windowChars).toWellFormed(), start === 0)
    let length = 0
    this.sentences = found.filter(sentence => {
      const isWanted = length < wanted
      length += sentence.length
      return isWanted
    })
    this.text = this.sentences.join(' ')
    const words = [...new Set(this.text.match(longWord) ?? [])]
    const rest = this.text.slice(0, 24).toWellFormed().trim()
    this.words = words.length > 0 ? words : [rest || 'this']
  }

  /** One of its sentences, cut to a phrase that fits into another one. */
  phrase(random: Random): string {
    const sentence = this.sentences[random.integer(this.sentences.length)] ?? 'a page without text'
    const short = sentence.length <= 90 ? sentence : cutAtSpace(sentence, 90)
    return short.replace(/[\s.,;:!?。！？]+$/, '').replaceAll('"', "'")
  }
}

/** @param whole - Whether the text begins with a sentence; what stands before its first end is left out otherwise. */
function splitSentences(text: string, whole: boolean): string[] {
  const sentences: string[] = []
  let start = 0
  for (const end of text.matchAll(sentenceEnd)) {
    const next = end.index + end[0].length
    if (start > 0 || whole) sentences.push(text.slice(start, next))
    start = next
  }
  if (start < text.length || sentences.length === 0) sentences.push(text.slice(start) || text)
  return sentences.map(sentence => cutAtSpace(sentence.trim(), maxSentenceChars)).filter(sentence => sentence !== '')
}

function cutAtSpace(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text
  const space = text.lastIndexOf(' ', maxChars)
  return text.slice(0, space > maxChars / 2 ? space : maxChars).toWellFormed()
}
