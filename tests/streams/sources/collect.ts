import {
  defaultSourceOptions,
  type Source,
  type SourceFault,
  type SourceItem,
  type SourceOptions,
} from '../../../streams/sources/source.ts'

export type Found = SourceItem | SourceFault

/** Chunks of a given size, to show that chunk borders make no difference. */
export async function* chunksOf(content: string | Uint8Array, size = Number.POSITIVE_INFINITY): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(content)
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size)
}

async function collect<T>(found: AsyncIterable<T>): Promise<T[]> {
  return Array.fromAsync(found)
}

export function read(
  source: Source,
  bytes: string | Uint8Array | AsyncIterable<Uint8Array>,
  options: Partial<SourceOptions> = {},
): Promise<Found[]> {
  const stream = typeof bytes === 'string' || bytes instanceof Uint8Array ? chunksOf(bytes) : bytes
  return collect(source.read({ bytes: stream, path: null }, { ...defaultSourceOptions, ...options }))
}

/** What a test compares: content or code, with the place. */
export function brief(found: readonly Found[]): string[] {
  return found.map(each => `${each.place ?? '-'}: ${each.kind === 'item' ? each.content : each.code}`)
}
