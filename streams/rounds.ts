/**
 * Makes of a look at something that changes one look for all who ask at once. Those who ask while it is under way share
 * the next one: this one may have passed what they must see.
 */
export function inRounds<T>(look: () => Promise<T>): () => Promise<T> {
  let running: Promise<unknown> = Promise.resolve()
  let next: Promise<T> | null = null
  return () => {
    if (next) return next
    const round = running.then(() => {
      next = null
      return look()
    })
    next = round
    running = round.catch(() => {})
    return round
  }
}
