/** Han, kana and scripts of South East Asia: no space between words. */
const scripts = '\\p{scx=Han}\\p{scx=Hiragana}\\p{scx=Katakana}\\p{sc=Thai}\\p{sc=Lao}\\p{sc=Khmer}\\p{sc=Myanmar}'
const counted = new RegExp(`[${scripts}]`, 'gu')
const countedCharacters = 20_000

/** For the inside of a character class: the scripts that put no space between words. */
export const unspacedScripts = `${scripts}\\p{sc=Tibetan}`

/** Characters of the trimmed text; a letter of a script without spaces counts as three. */
export function weightedLength(text: string): number {
  const trimmed = text.trim()
  return trimmed.length + 2 * (trimmed.slice(0, countedCharacters).match(counted)?.length ?? 0)
}
