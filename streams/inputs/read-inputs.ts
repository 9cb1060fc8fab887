import { SituError } from '../../schemas/errors.ts'
import { sourceNamed, sourceOfHead, sourceOfName } from '../sources/index.ts'
import {
  defaultSourceOptions,
  type Source,
  type SourceFault,
  type SourceItem,
  type SourceOptions,
} from '../sources/source.ts'
import { ByteReader, firstVisible, headBytes, withoutMark } from '../sources/support/byte-reader.ts'
import { fault } from '../sources/support/text.ts'
import { AbortableBytes, fileBytes, ReadingAborted } from './bytes.ts'
import { notText } from './not-text.ts'
import { isGzip, PackedInputCut, unpackGzip } from './unpack.ts'
import { type Globs, unreadable, walk } from './walk.ts'

export interface InputOptions extends Globs {
  /** Name of a format; null to tell it by the file's ending, else by its first bytes. */
  format: string | null
  source: SourceOptions
  /** What `-` reads. */
  stdin: AsyncIterable<Uint8Array>
}

/** `source` is the file as given, with the place in it, such as `pages.jsonl line 12`. */
export interface InputItem extends SourceItem {
  source: string
}

export interface InputFault extends SourceFault {
  source: string
}

/** A path that can't be opened or read on. The others are read all the same. */
export interface InputUnreadable {
  kind: 'unreadable'
  path: string
  error: SituError
}

export type InputEvent = InputItem | InputFault | InputUnreadable

export const defaultInputOptions: Omit<InputOptions, 'stdin'> = {
  format: null,
  include: [],
  exclude: [],
  source: defaultSourceOptions,
}

/**
 * Reads files, folders and `-` (stdin), packed or not, one after the other: never more than one chunk ahead of whoever
 * takes the events.
 *
 * Once the signal is aborted it ends at once, even while stdin is silent: behind the records of the chunk read last,
 * without the one that the chunk has only a part of. Stdin that has no telling first line is one document of plain
 * text. An input of no bytes is nothing, unless its name or --format tells a format: then it is an empty document.
 *
 * @throws {SituError} USAGE for an unknown format, a glob that is none, or stdin given twice.
 */
export async function* readInputs(
  paths: readonly string[],
  options: InputOptions,
  signal: AbortSignal,
): AsyncGenerator<InputEvent> {
  const format = options.format === null ? null : sourceNamed(options.format)
  if (paths.filter(path => path === '-').length > 1) throw new SituError('USAGE', 'stdin (-) is given twice')
  for await (const entry of walk(paths, options, signal)) {
    if (entry.kind === 'unreadable') yield entry
    else yield* readInput(entry.path, format, options, signal)
  }
}

async function* readInput(
  path: string,
  format: Source | null,
  options: InputOptions,
  signal: AbortSignal,
): AsyncGenerator<InputEvent> {
  const name = path === '-' ? 'stdin' : path
  const raw = new AbortableBytes(path === '-' ? options.stdin : fileBytes(path, signal), signal)
  try {
    for await (const found of readBytes(path, raw, format, options.source)) {
      const source = found.place === null ? name : `${name} ${found.place}`
      yield found.kind === 'item' ? { ...found, source } : { ...found, source, message: `${source}: ${found.message}` }
    }
  } catch (error) {
    if (error instanceof ReadingAborted) return
    if (error instanceof PackedInputCut) {
      const source = `${name} byte ${error.offset}`
      yield { ...fault('INPUT_CUT', `${source}: ${error.message}`, `byte ${error.offset}`, null), source }
      return
    }
    const failure = error instanceof SituError ? error : unreadable(name, error)
    if (failure.code !== 'INPUT_UNREADABLE') throw failure
    yield { kind: 'unreadable', path: name, error: failure }
  } finally {
    await raw.close()
  }
}

async function* readBytes(
  path: string,
  raw: AsyncIterable<Uint8Array>,
  format: Source | null,
  options: SourceOptions,
): AsyncGenerator<SourceItem | SourceFault> {
  const packed = new ByteReader(raw)
  const start = await packed.peek(head => head.length >= 2 || head[0] !== 0x1f)
  // A file that should be packed and is empty was cut before its first byte.
  const isPacked = isGzip(start) || (start.length === 0 && path.toLowerCase().endsWith('.gz'))
  const bytes = isPacked ? new ByteReader(unpackGzip(packed)) : packed
  const named = format ?? sourceOfName(path)
  const head = await bytes.peek(named ? () => true : tellsFormat)
  if (head.length === 0 && !named) {
    // Empty, or it failed before its first byte: then the error comes out here.
    for await (const chunk of bytes) void chunk
    return
  }
  const source = named ?? sourceOfHead(withoutMark(head))
  const reason = format || source.binary ? null : notText(head)
  if (reason) yield fault(reason.code, reason.message, null, head)
  else yield* source.read({ bytes, path: isPacked || path === '-' ? null : path }, options)
}

/** Whether a head is enough to tell the format by: of an object a whole line, so that it comes out at once. */
function tellsFormat(marked: Buffer): boolean {
  const head = withoutMark(marked)
  const start = firstVisible(head)
  if (start < 0) return head.length >= headBytes
  return head.indexOf(0x0a, start) >= 0 || (head[start] !== 0x7b && head.length >= 16)
}
