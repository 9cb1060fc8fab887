/** Ways in which a reply is no JSON that could be mended without guessing. */
export const brokenShapes = ['prose', 'cut', 'list', 'unquoted', 'torn'] as const
export type BrokenShape = (typeof brokenShapes)[number]

/** Breaks a JSON object. */
export function breakJson(text: string, shape: BrokenShape): string {
  switch (shape) {
    case 'prose':
      return 'Sure! I have thought about the document, and the answer should be short and friendly.'
    case 'cut':
      return text.slice(0, Math.max(1, Math.floor(text.length * 0.6)))
    case 'list':
      return JSON.stringify(text.slice(1, -1).split(','))
    case 'unquoted':
      return text.replaceAll('"', '')
    case 'torn':
      return `${text.slice(1, text.length / 2)}\n…\n${text.slice(text.length / 2 + 9)}`
  }
}

/** The same object with each text replaced by something else. */
export function wrongTypes(text: string): string {
  const wrong = [42, null, ['a list'], { an: 'object' }, true]
  let count = 0
  return JSON.stringify(JSON.parse(text), (_name, value: unknown) =>
    typeof value === 'string' ? wrong[count++ % wrong.length] : value,
  )
}
