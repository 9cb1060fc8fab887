/** A page as a crawler gives it: one JSON line. */
export const page = (text: string, more: object = {}) => JSON.stringify({ url: 'https://example.org/a', text, ...more })

/** Text that is long enough for a document, and like no other. */
export const longText = (topic: string) =>
  Array.from(
    { length: 20 },
    (_, number) => `The ${topic} was measured ${number} times before noon, and ${number + 3} after it.`,
  ).join(' ')
