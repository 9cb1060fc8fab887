/** First bytes (hex) of files that are often met and are no text. */
const magicNumbers: readonly (readonly [bytes: string, what: string])[] = [
  ['255044462d', 'a PDF file'],
  ['504b0304', 'a ZIP archive or office document'],
  ['1f8b', 'packed twice with gzip'],
  ['28b52ffd', 'packed with Zstandard'],
  ['fd377a585a00', 'packed with xz'],
  ['425a6839314159265359', 'packed with bzip2'],
  ['377abcaf271c', 'a 7z archive'],
  ['89504e470d0a1a0a', 'a PNG image'],
  ['ffd8ff', 'a JPEG image'],
  ['47494638', 'a GIF image'],
  ['7f454c46', 'a program'],
  ['53514c69746520666f726d617420', 'an SQLite database'],
  ['50415231', 'a Parquet file'],
]

/** Why an input that begins like this is no text; null where it may be one. */
export function notText(head: Buffer): { code: 'INPUT_NOT_TEXT' | 'INPUT_NOT_UTF8'; message: string } | null {
  const hex = head.toString('hex', 0, 16)
  const known = magicNumbers.find(([bytes]) => hex.startsWith(bytes))
  if (known) return { code: 'INPUT_NOT_TEXT', message: `no text but ${known[1]}, by its first bytes` }
  if (hex.startsWith('fffe') || hex.startsWith('feff')) {
    return { code: 'INPUT_NOT_UTF8', message: 'text in UTF-16, by its byte order mark' }
  }
  const zero = head.indexOf(0)
  return zero < 0 ? null : { code: 'INPUT_NOT_TEXT', message: `no text: byte ${zero} is NUL` }
}
