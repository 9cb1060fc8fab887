const defaultDimensions = 256
const gramLength = 3

/** Body of an answer to an embeddings call: vectors of hashed trigrams, so that like texts have like vectors. */
export function embeddingsBody(request: Record<string, unknown>, tokens: number): unknown {
  const { input, model, dimensions, encoding_format: format } = request
  const size = typeof dimensions === 'number' && dimensions > 0 ? Math.floor(dimensions) : defaultDimensions
  const data = textsOf(input).map((text, index) => {
    const vector = embed(text, size)
    const embedding = format === 'base64' ? Buffer.from(vector.buffer).toString('base64') : [...vector]
    return { object: 'embedding', index, embedding }
  })
  return { object: 'list', data, model, usage: { prompt_tokens: tokens, total_tokens: tokens } }
}

/** A call's `input`: one text or several. */
export function textsOf(input: unknown): string[] {
  return (Array.isArray(input) ? input : [input]).map(text => (typeof text === 'string' ? text : JSON.stringify(text)))
}

/** A vector of length 1. */
function embed(text: string, dimensions: number): Float32Array {
  const vector = new Float32Array(dimensions)
  const normal = ` ${text.toLowerCase().replace(/\s+/g, ' ').trim()} `
  for (let start = 0; start + gramLength <= normal.length; start++) {
    const sum = hashGram(normal, start)
    const at = (sum >>> 1) % dimensions
    vector[at] = (vector[at] ?? 0) + (sum & 1 ? 1 : -1)
  }
  const length = Math.hypot(...vector)
  if (length === 0) vector[0] = 1
  return length === 0 ? vector : vector.map(value => value / length)
}

/** FNV-1a, mixed once more so that its low bits are even. */
function hashGram(text: string, start: number): number {
  let sum = 0x811c9dc5
  for (let at = start; at < start + gramLength; at++) sum = Math.imul(sum ^ text.charCodeAt(at), 0x01000193)
  sum = Math.imul(sum ^ (sum >>> 16), 0x45d9f3b)
  return (sum ^ (sum >>> 15)) >>> 0
}
