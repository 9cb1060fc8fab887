/** Loaded first into each client: writes at its end what it has used. */
import { writeFileSync } from 'node:fs'

const path = process.env.BENCH_USAGE
if (path) {
  process.on('exit', () => {
    const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage()
    writeFileSync(path, JSON.stringify({ cpuSeconds: (userCPUTime + systemCPUTime) / 1e6, megabytes: maxRSS / 1024 }))
  })
}
