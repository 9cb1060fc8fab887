import { relative } from 'node:path'
import type { TestProject } from 'vitest/node'
import { type Addresses, startServices } from './index.ts'
import { needs, type ServiceName, services } from './left-out.ts'
import { findRedis } from './redis.ts'
import { chooseWay } from './way.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Absent where no selected test file needs them. */
    services?: Addresses | { missing: string }
    /** Each test file starts a server of its own. */
    redis?: { program: string } | { missing: string }
  }
}

type Teardown = () => Promise<void>

/** Brings the services up once for all selected test files that need them; where it can't, says so in the last lines. */
export async function setup(project: TestProject): Promise<Teardown> {
  const teardowns = await Promise.all([setUpKafka(project), setUpRedis(project)])
  return async () => {
    for (const teardown of teardowns) await teardown?.()
  }
}

async function setUpKafka(project: TestProject): Promise<Teardown | undefined> {
  const files = filesThatNeed('kafka', project)
  if (files.length === 0) return undefined
  const leaveOut = (missing: string) => {
    project.provide('services', { missing })
    return sayLeftOut('kafka', missing, files)
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

async function setUpRedis(project: TestProject): Promise<Teardown | undefined> {
  const files = filesThatNeed('redis', project)
  if (files.length === 0) return undefined
  try {
    project.provide('redis', { program: await findRedis() })
    return undefined
  } catch (error) {
    const missing = error instanceof Error ? error.message : String(error)
    project.provide('redis', { missing })
    return sayLeftOut('redis', missing, files)
  }
}

function filesThatNeed(service: ServiceName, project: TestProject): string[] {
  const files = project.vitest.state.getPaths().filter(file => needs(service, file))
  return files.map(file => relative(project.config.root, file)).sort()
}

function sayLeftOut(service: ServiceName, missing: string, files: readonly string[]): Teardown {
  const list = files.map(file => `  ${file}`).join('\n')
  return async () => console.error(`\nLeft out, as they need ${services[service].name} (${missing}):\n${list}`)
}
