import type { ProvidedContext } from 'vitest'
import type { Plugin } from 'vitest/config'
import type { TestProject } from 'vitest/node'

/** What a test file may need, by the end of its name. */
export const needs = {
  services: { suffix: '.kafka.test.ts', what: 'Kafka' },
  modelServer: { suffix: '.model.test.ts', what: 'a model server' },
} as const

export type Need = keyof typeof needs

export function needOf(file: string): Need | null {
  const found = Object.entries(needs).find(([, { suffix }]) => file.endsWith(suffix))
  return found ? (found[0] as Need) : null
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
      const need = needOf(id)
      if (!need || !project) return null
      const provided = (project.getProvidedContext() as Partial<ProvidedContext>)[need]
      if (!provided || !('missing' in provided)) return null
      const name = JSON.stringify(`needs ${needs[need].what}`)
      return { code: process.env.CI === 'true' ? failing(name, provided.missing) : skipped(name), map: null }
    },
  }
}

function skipped(name: string): string {
  return `import { it } from 'vitest'; it.skip(${name}, () => {})`
}

function failing(name: string, reason: string): string {
  return `import { it } from 'vitest'; it(${name}, () => { throw new Error(${JSON.stringify(reason)}) })`
}
