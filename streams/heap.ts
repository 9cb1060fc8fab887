import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

/** Where the space of young objects ends to grow; V8 alone would go on to 134 MB. */
const youngBytes = 32 * 1024 * 1024
/** By how much the space of old objects may grow beyond what was in use, before it is swept. */
const growthPercent = 100

/**
 * Keeps the garbage of model calls from filling the memory. It dies young and is quickly swept, so room for more of it
 * saves little time. As settings of the process itself, since a flag of `node` would have to stand wherever it is
 * started; while it starts V8 is left alone, for then nearly all that it makes stays.
 */
export function boundHeap(): void {
  const observer = new PerformanceObserver(() => {
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')
    if ((young?.space_size ?? 0) < youngBytes) return
    setFlagsFromString('--semi-space-growth-factor=1')
    setFlagsFromString(`--heap-growing-percent=${growthPercent}`)
    observer.disconnect()
  })
  observer.observe({ entryTypes: ['gc'] })
}
