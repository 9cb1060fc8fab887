/**
 * Lines per second through readInputs, from a pipe, in a process with a small heap.
 *
 *   node tests/bench/ingest-lines.ts [LINES] [HEAP_MB]
 *
 * Fails where the memory grows with the input: what is alive (after a collection) at the end must not exceed what was
 * alive at a fifth of it by more than 8 MB. The peak is that of the process; it levels off at the size of V8's young
 * generation, which the heap limit does not bound.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { defaultInputOptions, readInputs } from '../../streams/inputs/read-inputs.ts'

const words = 'the quick brown fox jumps over a lazy dog while rain falls on the old harbour town'.split(' ')

interface Measured {
  lines: number
  seconds: number
  cpuSeconds: number
  peakMb: number
  /** At each fifth of the input. */
  aliveMb: number[]
}

/** About 400 bytes, each another one. */
function line(number: number): string {
  const text = Array.from(
    { length: 60 },
    (_, place) => words[(number * 7 + place * (1 + (number % 13))) % words.length],
  )
  return `${JSON.stringify({ url: `https://example.org/${number}`, title: `Page ${number}`, text: `${number} ${text.join(' ')}` })}\n`
}

async function generate(lines: number, heapMb: number): Promise<void> {
  const self = fileURLToPath(import.meta.url)
  const child = spawn(
    process.execPath,
    ['--expose-gc', `--max-old-space-size=${heapMb}`, self, 'read', String(lines)],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  )
  const output = child.stdout.setEncoding('utf8').toArray()
  for (let number = 0; number < lines; number++) {
    if (!child.stdin.write(line(number))) await once(child.stdin, 'drain')
  }
  child.stdin.end()
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`the reader ended with exit code ${code}`)
  const measured = JSON.parse((await output).join('')) as Measured
  const perSecond = Math.round(measured.lines / measured.seconds)
  console.log(`${measured.lines} lines in ${measured.seconds.toFixed(1)} s: ${perSecond} lines/s`)
  console.log(`reader: ${measured.cpuSeconds.toFixed(1)} CPU s, heap limit ${heapMb} MB`)
  console.log(`memory: peak ${measured.peakMb} MB; alive at each fifth ${measured.aliveMb.join(', ')} MB`)
  const [early = 0, late = early] = [measured.aliveMb[0], measured.aliveMb.at(-1)]
  if (measured.lines !== lines || late > early + 8) process.exitCode = 1
}

async function read(expected: number): Promise<void> {
  const options = { ...defaultInputOptions, stdin: process.stdin }
  const measured: Measured = { lines: 0, seconds: 0, cpuSeconds: 0, peakMb: 0, aliveMb: [] }
  let start = 0
  for await (const event of readInputs(['-'], options, new AbortController().signal)) {
    if (event.kind !== 'item') throw new Error(`not an item: ${JSON.stringify(event)}`)
    if (measured.lines++ === 0) start = performance.now()
    if (measured.lines % Math.floor(expected / 5) === 0) measured.aliveMb.push(aliveMegabytes())
  }
  measured.peakMb = Math.round(process.resourceUsage().maxRSS / 1024)
  measured.seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage()
  measured.cpuSeconds = (user + system) / 1e6
  console.log(JSON.stringify(measured))
}

function aliveMegabytes(): number {
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return Math.round((heapUsed + external) / 1024 / 1024)
}

const [first = '200000', second] = process.argv.slice(2)
if (first === 'read') await read(Number(second))
else await generate(Number(first), Number(second ?? '64'))
