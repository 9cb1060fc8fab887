import { readFileSync } from 'node:fs'
import { basename, extname } from 'node:path'
import { BenchmarkIndex } from '../operators/decontaminate/benchmark-index.ts'
import { readBenchmark } from '../operators/decontaminate/read-benchmark.ts'
import { messageOf, SituError } from '../schemas/errors.ts'

/**
 * The prompts of benchmark files; a benchmark is called as its file.
 *
 * @throws {SituError} CONFIGURATION_INVALID where there is no file, or with file and line; INPUT_UNREADABLE.
 */
export function loadBenchmarks(files: readonly string[]): BenchmarkIndex {
  if (files.length === 0) {
    throw new SituError('CONFIGURATION_INVALID', 'decontaminate: no benchmarks are given; --benchmarks FILE names them')
  }
  return new BenchmarkIndex(files.flatMap(file => readBenchmark(textOf(file), basename(file, extname(file)))))
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new SituError('INPUT_UNREADABLE', `benchmark ${file}: ${messageOf(cause)}`, { cause })
  }
}
