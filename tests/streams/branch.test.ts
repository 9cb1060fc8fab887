import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { promptOptions } from '../../operators/composition.ts'
import { type BranchRun, runBranch } from '../support/branch-run.ts'
import { hasSharedData } from '../support/documents.ts'
import { removeFolder, temporaryFolder } from '../support/situ.ts'

const timeoutMs = 240_000

describe.skipIf(!hasSharedData)(
  'instructions of people and documents in one run with a fake provider (left out where the shared data is not there)',
  () => {
    const folder = temporaryFolder()
    let run: BranchRun
    beforeAll(async () => {
      run = await runBranch(folder, { documents: 40, instructions: 60, recipe: 'paper' })
    }, timeoutMs)
    afterAll(() => removeFolder(folder))

    it('fill every topic of the branch and of the main line, and lose none', () => {
      const { topics, conservation, differences } = run.status
      expect(differences).toEqual([])
      expect(conservation).toBe('ok')
      const empty = Object.keys(topics).filter(topic => !topics[topic]?.records)
      expect(empty).toEqual(['failed', 'retry'])
    })

    it('cost one call for each step and item, as the provider counted them, and no other', () => {
      const names = ['score-real', 'conceive', 'retrieve', 'attribute', 'situate', 'instruct', 'score']
      expect(run.steps.map(({ operator }) => operator).sort()).toEqual(names.sort())
      for (const { operator, items, calls, once } of run.steps) {
        expect({ operator, calls, once }).toEqual({ operator, calls: items, once: items })
        expect(items).toBeGreaterThan(0)
      }
      expect(run.strayCalls).toBe(0)
    })

    it('keep every prompt within its limit, as the provider counted it', () => {
      const { maxPromptTokens } = promptOptions.parse({})
      const longest = Math.max(...run.steps.map(({ longestPrompt }) => longestPrompt))
      expect(longest).toBeLessThanOrEqual(maxPromptTokens)
      expect(longest).toBeGreaterThan(0.8 * maxPromptTokens)
    })

    it('make demonstrations of their own, which the documents then draw from', () => {
      expect(run.snapshot.demonstrations - run.snapshot.builtIn).toBeGreaterThan(0)
    })

    it('give demonstrations of which five and more fit into most prompts', () => {
      for (const operator of ['situate', 'instruct']) expect(run.shown[operator]?.median).toBeGreaterThanOrEqual(5)
    })
  },
)
