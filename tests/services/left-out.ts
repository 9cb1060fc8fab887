import type { Plugin } from 'vitest/config'
import type { TestProject } from 'vitest/node'

export function needsServices(file: string): boolean {
  return file.endsWith('.kafka.test.ts')
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
      const services = project?.getProvidedContext().services
      if (!needsServices(id) || !services || !('missing' in services)) return null
      return { code: process.env.CI === 'true' ? failing(services.missing) : skipped, map: null }
    },
  }
}

const skipped = `import { it } from 'vitest'; it.skip('needs Kafka', () => {})`

function failing(reason: string): string {
  return `import { it } from 'vitest'; it('needs Kafka', () => { throw new Error(${JSON.stringify(reason)}) })`
}
