/** The Source port: one file a format in this folder, listed in index.ts. */

/** What an ingest makes a record of. */
export interface SourceItem {
  kind: 'item'
  content: string
  format: 'html' | 'text' | 'markdown'
  url: string | null
  title: string | null
  /** Where it lies within the input, such as `line 12` or `byte 4096`; null where the input holds it alone. */
  place: string | null
}

/** A record that could not be read: it becomes a dead letter, and the rest goes on. */
export interface SourceFault {
  kind: 'fault'
  code: 'INPUT_NOT_TEXT' | 'INPUT_NOT_UTF8' | 'INPUT_MALFORMED' | 'INPUT_CUT' | 'RECORD_TOO_LARGE'
  message: string
  place: string | null
  evidence: Uint8Array | null
}

export interface SourceOptions {
  textField: readonly string[]
  urlField: readonly string[]
  titleField: readonly string[]
  /** Largest record in bytes; a larger one is a fault, and is never held in memory whole. */
  maxRecordBytes: number
}

export interface Source {
  /** Value of --format. */
  readonly name: string
  /** One line for --help. */
  readonly summary: string
  /** File endings, each with the dot, in lower case. */
  readonly endings: readonly string[]
  /** Whether an input without a telling name looks like this format, by its first bytes (up to 64 KB, unpacked). */
  detect(head: Uint8Array): boolean
  /**
   * Reads an input, already unpacked. Memory does not grow with the input.
   *
   * Faults within the input are yielded, never thrown. An error of the byte stream itself is thrown on.
   */
  read(bytes: AsyncIterable<Uint8Array>, options: SourceOptions): AsyncIterable<SourceItem | SourceFault>
}
