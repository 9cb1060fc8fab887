/** The Sink port of situ export: one file a format in this folder, listed in index.ts. */
export interface Sink {
  /** Value of --format. */
  readonly name: string
  /** File endings that choose it, each with the dot. */
  readonly endings: readonly string[]
  /** Opens a file; what is written is complete on disk when `close` resolves. */
  open(path: string): Promise<SinkWriter>
}

export interface SinkWriter {
  write(record: Record<string, unknown>): Promise<void>
  close(): Promise<void>
}
