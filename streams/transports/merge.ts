/** Items of several readers as they come. Ends when all have ended; leaving it ends all. */
export async function* merge<T>(readers: readonly AsyncIterable<T>[]): AsyncGenerator<T> {
  const iterators = readers.map(reader => reader[Symbol.asyncIterator]())
  const next = new Map(iterators.map(iterator => [iterator, take(iterator)]))
  try {
    while (next.size > 0) {
      const { iterator, result } = await Promise.race(next.values())
      if (result.done) next.delete(iterator)
      else {
        next.set(iterator, take(iterator))
        yield result.value
      }
    }
  } finally {
    for (const iterator of next.keys()) void iterator.return?.()
  }
}

async function take<T>(iterator: AsyncIterator<T>) {
  return { iterator, result: await iterator.next() }
}
