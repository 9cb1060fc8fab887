interface Answer<T> {
  iterator: AsyncIterator<T>
  result: Promise<IteratorResult<T>>
}

/** Items of several readers as they come, first come first served. Ends when all have ended; leaving it ends all. */
export async function* merge<T>(readers: readonly AsyncIterable<T>[]): AsyncGenerator<T> {
  const open = new Set(readers.map(reader => reader[Symbol.asyncIterator]()))
  // A queue and no race of promises: each round of a race would leave something behind at the silent readers.
  const answers: Answer<T>[] = []
  let answered = Promise.withResolvers<void>()
  const ask = (iterator: AsyncIterator<T>) => {
    const result = iterator.next()
    const put = () => {
      answers.push({ iterator, result })
      answered.resolve()
    }
    result.then(put, put)
  }
  for (const iterator of open) ask(iterator)
  try {
    while (open.size > 0) {
      const answer = answers.shift()
      if (!answer) {
        await answered.promise
        answered = Promise.withResolvers<void>()
        continue
      }
      const { done, value } = await answer.result
      if (done) open.delete(answer.iterator)
      else {
        ask(answer.iterator)
        yield value
      }
    }
  } finally {
    // Not waited for: a reader may be silent.
    for (const iterator of open) Promise.resolve(iterator.return?.()).catch(() => {})
  }
}
