import { createHash } from 'node:crypto'

/** Unicode orders the marks on one letter in time square in their number; no real text stacks this many. */
const stackedMarks = /(\p{M}{30})\p{M}+/gu
const invisible = /\p{Default_Ignorable_Code_Point}+/gu

/** A text as it is compared: NFKC, case folded, without invisible characters, one space for any white space. */
export function normalise(text: string): string {
  const composed = text.replace(stackedMarks, '$1').normalize('NFKC')
  // Up and down again folds what has several small forms: ß and ss, final sigma.
  return composed.toUpperCase().toLowerCase().replace(invisible, '').replace(/\s+/gu, ' ').trim()
}

/** SHA-256 of a normalised text, first 16 bytes. */
export function exactHash(normalised: string): Uint8Array {
  return createHash('sha256').update(normalised).digest().subarray(0, 16)
}

/** A 32-bit hash of the normalised text: equal texts meet in one partition. */
export function routeByText(text: string): number {
  return createHash('sha256').update(normalise(text)).digest().readUInt32LE(0)
}

/** Whether nothing of the text would be left to compare. */
export function isEmpty(text: string): boolean {
  return !/[^\s\p{Default_Ignorable_Code_Point}]/u.test(text)
}
