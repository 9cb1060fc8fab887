/** JSON lines through the stdin of `situ ingest -`: speed, whether the memory stays flat, and the same lines again. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Writable } from 'node:stream'
import { type Figure, report, type ScriptOptions } from '../support/figures.ts'
import { removeFolder, Situ, temporaryFolder } from '../support/situ.ts'

interface Ingested {
  counts: { in: number; done: number; already_there: number }
  seconds: number
  cpuSeconds: number
  /** Largest resident memory while the first quarter of the lines went in, and while the second half did. */
  earlyMegabytes: number
  lateMegabytes: number
}

export async function run(options: ScriptOptions): Promise<void> {
  const lines = Number(options.values.lines ?? (options.short ? 30_000 : 200_000))
  const data = temporaryFolder()
  try {
    const first = await ingest(data, lines)
    const again = await ingest(data, lines)
    report(
      'ingest',
      [
        { name: 'lines', value: lines },
        ...describe('first time', first, lines),
        // A short run ends before the heap has its usual size; so does the one that only looks up.
        { ...growth(first, 'first time'), ...(!options.short && { goal: { most: 1.15 } }) },
        { name: 'new, first time', value: first.counts.done, goal: { least: lines } },
        ...describe('again', again, lines),
        growth(again, 'again'),
        { name: 'new, again', value: again.counts.done, goal: { most: 0 } },
        { name: 'already there, again', value: again.counts.already_there, goal: { least: lines } },
      ],
      options,
    )
  } finally {
    removeFolder(data)
  }
}

function describe(name: string, measured: Ingested, lines: number): Figure[] {
  const { seconds, cpuSeconds, lateMegabytes } = measured
  return [
    { name: `lines/s, ${name}`, value: lines / seconds },
    { name: `CPU seconds, ${name}`, value: cpuSeconds, unit: 's' },
    { name: `peak memory in the second half, ${name}`, value: lateMegabytes, unit: 'MB' },
  ]
}

function growth({ earlyMegabytes, lateMegabytes }: Ingested, name: string): Figure {
  return { name: `peak memory, second half / first quarter, ${name}`, value: lateMegabytes / earlyMegabytes }
}

async function ingest(data: string, lines: number): Promise<Ingested> {
  // V8 enlarges its young generation in steps, at moments of its own: bounded, what grows is ours.
  const env = { NODE_OPTIONS: '--max-semi-space-size=16' }
  const situ = new Situ(['ingest', '-', '--data', data, '--json'], { env })
  const memory = new MemoryByProgress(situ.child.pid ?? 0)
  if (situ.child.stdin) await writeLines(situ.child.stdin, lines, written => memory.sample(written / lines))
  const { code, stdout, stderr, seconds, cpuSeconds } = await situ.done
  if (code !== 0) throw new Error(`situ ingest ended with ${code}\n${stdout}\n${stderr}`)
  return { counts: JSON.parse(stdout), seconds, cpuSeconds, ...memory.peaks }
}

async function writeLines(stdin: Writable, lines: number, onWritten: (lines: number) => void): Promise<void> {
  for (let number = 0; number < lines; number++) {
    if (!stdin.write(line(number))) await once(stdin, 'drain')
    if (number % 1_000 === 0) onWritten(number)
  }
  stdin.end()
}

const words = 'the quick brown fox jumps over a lazy dog while rain falls on the old harbour town'.split(' ')

/** About 400 bytes, each another one. */
function line(number: number): string {
  const text = Array.from({ length: 60 }, (_, at) => words[(number * 7 + at * (1 + (number % 13))) % words.length])
  const page = { url: `https://example.org/${number}`, title: `Page ${number}`, text: `${number} ${text.join(' ')}` }
  return `${JSON.stringify(page)}\n`
}

/** Resident memory of a process by how much of its input it has taken. */
class MemoryByProgress {
  readonly #pid: number
  readonly peaks = { earlyMegabytes: 0, lateMegabytes: 0 }

  constructor(pid: number) {
    this.#pid = pid
  }

  sample(progress: number): void {
    const resident = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.#pid}/status`, 'utf8'))
    const megabytes = Number(resident?.[1] ?? 0) / 1024
    if (progress <= 0.25) this.peaks.earlyMegabytes = Math.max(this.peaks.earlyMegabytes, megabytes)
    if (progress >= 0.5) this.peaks.lateMegabytes = Math.max(this.peaks.lateMegabytes, megabytes)
  }
}
