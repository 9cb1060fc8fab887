/** The Sink port of situ export: one file a format in this folder, listed in index.ts. */
export interface Sink {
  /** Value of --format. */
  readonly name: string
  /** File endings that choose it, each with the dot. */
  readonly endings: readonly string[]
  /**
   * Opens a file, `-` for stdout. What is written stands under another name until `close` resolves: the file is
   * complete on disk, or is not there (or is the one that was there before).
   *
   * @throws {SituError} OUTPUT_UNWRITABLE, DISK_FULL; so do the writer's calls.
   */
  open(path: string): Promise<SinkWriter>
}

export interface SinkWriter {
  /** Resolves when more may be written. */
  write(record: Record<string, unknown>): Promise<void>
  close(): Promise<void>
  /** Ends without a file. After `close` it does nothing. */
  abort(): Promise<void>
}
