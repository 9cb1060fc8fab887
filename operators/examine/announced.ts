/** A line that is a label to be filled in by the answer, such as "Answer:", has no more words. */
const longestLabel = 4
const labelOfText =
  /^\W*(?:the )?(?:text|passage|article|document|input|code|context|excerpt|paragraph|sentence|texte|texto|testo|tekst|文章|本文|文本)\W*[:：]$/iu

/**
 * What a text announces at its very end, by a colon, and does not hold; null where it announces nothing. A short last
 * line under others is a label for the answer.
 */
export function announcedAtEnd(text: string): string | null {
  const trimmed = text.trimEnd()
  if (!/[:：]$/.test(trimmed)) return null
  const line = trimmed.slice(trimmed.lastIndexOf('\n') + 1).trim()
  const isLabel =
    line.length < trimmed.length &&
    (line.match(/[\p{L}\p{M}\p{N}]+/gu)?.length ?? 0) <= longestLabel &&
    !labelOfText.test(line)
  return isLabel ? null : line.slice(-60)
}
