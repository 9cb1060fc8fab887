import { hashedNgrams } from '../embedders/hashed-ngrams.ts'

const defaultDimensions = 256

/** Body of an answer to an embeddings call: vectors of hashed n-grams, so that like texts have like vectors. */
export function embeddingsBody(request: Record<string, unknown>, tokens: number): unknown {
  const { input, model, dimensions, encoding_format: format } = request
  const size = typeof dimensions === 'number' && dimensions > 0 ? Math.floor(dimensions) : defaultDimensions
  const data = textsOf(input).map((text, index) => {
    const vector = hashedNgrams(text, size)
    const embedding = format === 'base64' ? Buffer.from(vector.buffer).toString('base64') : [...vector]
    return { object: 'embedding', index, embedding }
  })
  return { object: 'list', data, model, usage: { prompt_tokens: tokens, total_tokens: tokens } }
}

/** A call's `input`: one text or several. */
export function textsOf(input: unknown): string[] {
  return (Array.isArray(input) ? input : [input]).map(text => (typeof text === 'string' ? text : JSON.stringify(text)))
}
