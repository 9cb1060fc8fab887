/** A moment in words, such as 2026-01-31T12:00:00Z, as milliseconds since 1970; null for what is none. */
export function instantOf(text: string): number | null {
  // Dates alone: Node takes a bare number and much else for a time as well.
  const time = /^\d{4}-\d\d/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(time) ? null : time
}
