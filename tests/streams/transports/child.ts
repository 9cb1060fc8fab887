import { Child as Process } from '../../support/child.ts'

export { killChildren } from '../../support/child.ts'

const script = new URL('embedded-child.ts', import.meta.url).pathname

/** One embedded-child.ts as a process of its own. */
export class Child extends Process {
  constructor(words: readonly string[], options: { around?: readonly string[]; user?: number } = {}) {
    super(script, words, options)
  }
}
