import { relative } from 'node:path'
import type { ProvidedContext } from 'vitest'
import type { TestProject } from 'vitest/node'
import { type Addresses, startServices } from './index.ts'
import { type Need, needOf, needs } from './left-out.ts'
import { type ModelAddress, startModelServer } from './model-server.ts'
import { missingPython } from './python.ts'
import { chooseWay } from './way.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Absent where no selected test file needs them. */
    services?: Addresses | { missing: string }
    modelServer?: ModelAddress | { missing: string }
  }
}

/** A service that was brought up, or why it can't be had. */
type Started<Kind extends Need> =
  | { provided: NonNullable<ProvidedContext[Kind]>; stop: () => Promise<void> }
  | { missing: string }

/** Brings up once what the selected test files need; where it can't, says so in the last lines. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [kafka, model] = await Promise.all([
    bring(project, 'services', startKafka),
    bring(project, 'modelServer', startModel),
  ])
  return async () => {
    await Promise.all([kafka(), model()])
  }
}

async function bring<Kind extends Need>(
  project: TestProject,
  need: Kind,
  start: () => Promise<Started<Kind>>,
): Promise<() => Promise<void>> {
  const files = project.vitest.state.getPaths().filter(file => needOf(file) === need)
  if (files.length === 0) return async () => {}
  const started = await start()
  const provide = project.provide as (key: Need, value: unknown) => void
  provide.call(project, need, 'missing' in started ? { missing: started.missing } : started.provided)
  if ('stop' in started) return started.stop
  const names = files.map(file => relative(project.config.root, file)).sort()
  const list = names.map(name => `  ${name}`).join('\n')
  return async () => console.error(`\nLeft out, as they need ${needs[need].what} (${started.missing}):\n${list}`)
}

async function startKafka(): Promise<Started<'services'>> {
  const way = await chooseWay()
  if (way.kind === 'none') return { missing: way.reason }
  try {
    const { stop, brokers, registry, sasl, way } = await startServices({ sasl: true })
    return { provided: { way, brokers, registry, sasl }, stop }
  } catch (error) {
    if (way.kind === 'environment') throw error
    return { missing: error instanceof Error ? error.message : String(error) }
  }
}

async function startModel(): Promise<Started<'modelServer'>> {
  const missing = await missingPython()
  if (missing !== null) return { missing }
  try {
    const { url, model, contextTokens, stop } = await startModelServer()
    return { provided: { url, model, contextTokens }, stop }
  } catch (error) {
    return { missing: error instanceof Error ? error.message : String(error) }
  }
}
