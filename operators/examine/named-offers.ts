/** What is sold or run under a name: what it holds only those know who have it before them. */
const offer =
  '(?:packages?|plans?|bundles?|tiers?|subscriptions?|memberships?|polic(?:y|ies)|warrant(?:y|ies)|program(?:me)?s?|courses?|services?|editions?|offers?|tariffs?|kits?|schemes?)'
const word = "\\p{Lu}[\\p{L}\\p{N}&’'-]*"
/** Behind another word of its sentence, where a capital is part of a name. */
const name = `(?<=[\\p{Ll},’'] )(?<name>${word}(?: ${word}){0,4})`
const named = new RegExp(
  `${name} (?:\\p{Ll}[\\p{L}-]* )?${offer}(?![\\p{L}-])|(?<![\\p{L}-])${offer} (?:of|from|by|offered by) (?:the )?(?<owner>${word}(?: ${word}){0,4})`,
  'gu',
)
const asksWhatItHolds =
  /(?<![\p{L}])(?:includ\w*|cover\w*|offer(?:s|ed)?|provid\w*|contain\w*|consists?|comprises?|costs?|benefits?|advantages?|features?|differs?|differences?|worth|terms|conditions|eligib\w*|compare[sd]?)(?![\p{L}])/iu
const asks =
  /\?\s*$|^(?:please |can you |could you )?(?:explain|describe|list|compare|outline|summari[sz]e|tell|name|analy[sz]e|discuss|evaluate|assess)(?![\p{L}])/iu
const sentence = /[^.!?]+[.!?]*/g

/**
 * What an instruction asks about that its document alone can tell: what a named package, plan or the like of the document
 * holds, where no other sentence says anything of it; null where it does not.
 *
 * @param text - Without what is quoted or pasted into it.
 */
export function askedOffer(text: string, document: string): string | null {
  const sentences = text.match(sentence) ?? []
  for (const [at, own] of sentences.entries()) {
    if (!asks.test(own.trim()) || !asksWhatItHolds.test(own)) continue
    for (const { 0: phrase, groups } of own.matchAll(named)) {
      const words = (groups?.name ?? groups?.owner ?? '').split(' ').map(part => part.replace(/['’]s?$/, ''))
      const last = words.at(-1) ?? ''
      const isTold = sentences.some((other, index) => index !== at && !asks.test(other.trim()) && other.includes(last))
      if (!isTold && words.every(part => document.includes(part))) return phrase
    }
  }
  return null
}
