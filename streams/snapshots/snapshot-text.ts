import type { DemonstrationSnapshot } from '../../operators/demonstrations.ts'
import { canonicalJson, hash } from '../../operators/hash.ts'
import type { Prompt as PromptRecord } from '../../schemas/records.ts'

/** Half of what brokers take in a message unless they are told otherwise. */
const partCharacters = 200_000

/** What stands for a text that lies in parts: ids of texts which make it, one after the other. */
interface Parts {
  parts: string[]
}

/**
 * The texts that keep a snapshot in the topic `prompt`, those that another names before it. One that would be too large
 * for a message lies in parts.
 */
export function snapshotTexts({ hash: id, text }: DemonstrationSnapshot): PromptRecord[] {
  const common = { kind: 'demonstrations', operator: null } as const
  if (text.length <= partCharacters) return [{ ...common, id, text }]
  const parts: PromptRecord[] = []
  for (let at = 0; at < text.length; ) {
    const end = endOfPart(text, at + partCharacters)
    const part = text.slice(at, end)
    parts.push({ ...common, id: hash(part), text: part })
    at = end
  }
  return [...parts, { ...common, id, text: canonicalJson({ parts: parts.map(part => part.id) } satisfies Parts) }]
}

/** Not between the two halves of a character: encoded alone they would be lost. */
function endOfPart(text: string, end: number): number {
  return /[\uD800-\uDBFF]/.test(text.charAt(end - 1)) ? end - 1 : end
}

/** The text of a snapshot, put together again. @param read - Reads a text by its id. */
export async function keptText(id: string, read: (id: string) => Promise<string>): Promise<string> {
  const text = await read(id)
  if (!text.startsWith('{')) return text
  const { parts } = JSON.parse(text) as Parts
  return (await Promise.all(parts.map(part => read(part)))).join('')
}
