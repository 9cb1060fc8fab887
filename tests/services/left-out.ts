import type { Plugin } from 'vitest/config'
import type { TestProject } from 'vitest/node'

/** What test files need that not every machine has, by the ending of their names. */
export const services = {
  kafka: { name: 'Kafka', ending: '.kafka.test.ts', provided: 'services' },
  redis: { name: 'Redis', ending: '.redis.test.ts', provided: 'redis' },
} as const

export type ServiceName = keyof typeof services

export function needs(service: ServiceName, file: string): boolean {
  return file.endsWith(services[service].ending)
}

/** Puts one skipped test in place of each file that needs services where there are none; where CI=true, one that fails. */
export function leftOutWithoutServices(): Plugin {
  let project: TestProject | null = null
  return {
    name: 'situ:left-out-without-services',
    enforce: 'pre',
    configureVitest(context) {
      project = context.project
    },
    transform(_code, id) {
      const service = Object.values(services).find(({ ending }) => id.endsWith(ending))
      const state = service && project?.getProvidedContext()[service.provided]
      if (!service || !state || !('missing' in state)) return null
      return {
        code: process.env.CI === 'true' ? failing(service.name, state.missing) : skipped(service.name),
        map: null,
      }
    },
  }
}

function skipped(name: string): string {
  return `import { it } from 'vitest'; it.skip('needs ${name}', () => {})`
}

function failing(name: string, reason: string): string {
  return `import { it } from 'vitest'; it('needs ${name}', () => { throw new Error(${JSON.stringify(reason)}) })`
}
