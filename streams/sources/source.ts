/** The Source port: one file a format in this folder, listed in index.ts. What formats share is in support/. */

/** What an ingest makes a record of. */
export interface SourceItem {
  kind: 'item'
  content: string
  format: 'html' | 'text' | 'markdown'
  url: string | null
  title: string | null
  /** The object that held it, where instructions are read from a JSON format. */
  fields?: Readonly<Record<string, unknown>>
  /** Where it lies within the input, such as `line 12` or `byte 4096`; null where the input holds it alone. */
  place: string | null
}

/** A record that could not be read: it becomes a dead letter, and the rest goes on. */
export interface SourceFault {
  kind: 'fault'
  code: 'INPUT_NOT_TEXT' | 'INPUT_NOT_UTF8' | 'INPUT_MALFORMED' | 'INPUT_CUT' | 'RECORD_TOO_LARGE'
  /** The rule and the value; the reader puts file and place before it. */
  message: string
  place: string | null
  /** The record's bytes. */
  evidence: Uint8Array | null
  /** Where the evidence is only the record's beginning: size and SHA-256 (hex) of the record. */
  whole?: { size: number; sha256: string }
}

export interface SourceOptions {
  /** Names of the fields that may hold the text; the first that holds one counts. `a.b` is field b of field a. */
  textField: readonly string[]
  urlField: readonly string[]
  titleField: readonly string[]
  /** The inputs are instructions: of a conversation the user's first turn is the text, and other fields count too. */
  instructions: boolean
  /** Largest record in bytes; a larger one is a fault, and is never held in memory whole. */
  maxRecordBytes: number
}

export const defaultSourceOptions: SourceOptions = {
  textField: ['text', 'content', 'html', 'body', 'markdown', 'raw_content'],
  urlField: ['url', 'source_url', 'link', 'uri'],
  titleField: ['title', 'name', 'headline'],
  instructions: false,
  maxRecordBytes: 16 * 1024 * 1024,
}

export interface SourceInput {
  /** The input, already unpacked. */
  bytes: AsyncIterable<Uint8Array>
  /** The file that holds just these bytes, for a format that must seek; null for stdin and for a packed file. */
  path: string | null
}

export interface Source {
  /** Value of --format. */
  readonly name: string
  /** One line for --help. */
  readonly summary: string
  /** File endings, each with the dot, in lower case. */
  readonly endings: readonly string[]
  /** True for a format whose files are no text, so that NUL bytes are no fault. */
  readonly binary?: boolean
  /**
   * Whether an input without a telling name looks like this format, by its first bytes: up to 64 KB, unpacked, without
   * a byte order mark. From a pipe it may be the first line alone.
   */
  detect(head: Uint8Array): boolean
  /**
   * Reads an input. Memory does not grow with it.
   *
   * Faults within the input are yielded, never thrown. An error of the byte stream itself is thrown on.
   */
  read(input: SourceInput, options: SourceOptions): AsyncIterable<SourceItem | SourceFault>
}

/** Where instructions lie, for the others' text fields would be answers as often. */
export const instructionFields: readonly string[] = ['text', 'instruction', 'prompt', 'query']
