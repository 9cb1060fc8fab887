/** A byte order mark, carriage returns, and control characters that are no white space. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is for
const toMend = /\r\n?|[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ufeff]/g

/** The text with line feeds and without control characters; the same string where there is nothing to mend. */
export function mend(text: string): string {
  return text.search(toMend) < 0 ? text : text.replace(toMend, found => (found.startsWith('\r') ? '\n' : ''))
}

/** Letters and digits of text that is meant to be read, as a share of all that is no white space. */
const leastReadable = 0.3
const mostReplaced = 0.02
const lookedAt = 100_000

/** Whether the content is bytes that were read as text, or a page of signs. */
export function isNotText(content: string): boolean {
  const beginning = content.slice(0, lookedAt)
  const visible = beginning.match(/\S/gu)?.length ?? 0
  if (visible === 0) return false
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is for
  const broken = beginning.match(/[\u0000-\u0008\u000e-\u001a\ufffd]/g)?.length ?? 0
  const readable = beginning.match(/[\p{L}\p{M}\p{N}]/gu)?.length ?? 0
  return broken > mostReplaced * visible || readable < leastReadable * visible
}

const searchedLines = 300
const frontMatterTitle = /^title[ \t]*[:=][ \t]*(.+)$/i

/** Title of a Markdown text: that of its front matter, else its first heading outside code. */
export function markdownTitle(text: string): string | null {
  const lines = text.slice(0, 65_536).split('\n', searchedLines)
  const fence = lines[0]?.trimEnd()
  const closing = fence === '---' || fence === '+++' ? lines.indexOf(fence, 1) : -1
  for (const line of lines.slice(1, Math.max(1, closing))) {
    const title = frontMatterTitle
      .exec(line)?.[1]
      ?.trim()
      .replace(/^(["'])(.*)\1$/, '$2')
    if (title) return title
  }
  return firstHeading(lines.slice(closing + 1))
}

function firstHeading(lines: string[]): string | null {
  let code = ''
  for (const [index, line] of lines.entries()) {
    const fence = /^ {0,3}(```|~~~)/.exec(line)?.[1] ?? ''
    if (fence && (code === '' || code === fence)) code = code ? '' : fence
    if (code || fence) continue
    const heading = /^ {0,3}#{1,6}[ \t]+(\S.*)$/.exec(line)?.[1]
    const underlined = /^ {0,3}(=+|-{2,})[ \t]*$/.test(lines[index + 1] ?? '') && /^\S/.test(line) ? line : undefined
    const title = plain(heading ?? underlined ?? '')
    if (title) return title
  }
  return null
}

/** A heading without the marks of Markdown. */
function plain(heading: string): string {
  return heading
    .slice(0, 1_000)
    .replace(/[ \t]+#+[ \t]*$/, '')
    .replace(/!?\[([^\][]{0,500})\]\([^()]{0,500}\)/g, '$1')
    .replace(/[*`]+|<[^<>]{0,200}>/g, '')
    .trim()
}
