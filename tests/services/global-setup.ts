import { relative } from 'node:path'
import type { TestProject } from 'vitest/node'
import { type Addresses, startServices } from './index.ts'
import { needsServices } from './left-out.ts'
import { chooseWay } from './way.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Absent where no selected test file needs them. */
    services?: Addresses | { missing: string }
  }
}

/** Brings the services up once for all selected test files that need them; where it can't, says so in the last lines. */
export async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const files = project.vitest.state.getPaths().filter(needsServices)
  if (files.length === 0) return undefined
  const leaveOut = (missing: string) => {
    project.provide('services', { missing })
    const names = files.map(file => relative(project.config.root, file)).sort()
    return async () =>
      console.error(`\nLeft out, as they need Kafka (${missing}):\n${names.map(name => `  ${name}`).join('\n')}`)
  }
  const way = await chooseWay()
  if (way.kind === 'none') return leaveOut(way.reason)
  try {
    const { stop, brokers, registry, sasl, way } = await startServices({ sasl: true })
    project.provide('services', { way, brokers, registry, sasl })
    return stop
  } catch (error) {
    if (way.kind === 'environment') throw error
    return leaveOut(error instanceof Error ? error.message : String(error))
  }
}
