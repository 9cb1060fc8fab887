import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sum } from '../../streams/task/task-record.ts'
import { modelServer } from '../support/model-server.ts'
import { removeFolder, temporaryFolder } from '../support/situ.ts'
import { readAsOperator, readAsReference, runTiny, type TinyRun, tinySteps, yieldOf } from '../support/tiny-branch.ts'

/** Where it usually takes two. */
const timeoutMs = 10 * 60_000

describe('five instructions of people and ten documents through the recipe paper with a real model', () => {
  const folder = temporaryFolder()
  let run: TinyRun
  beforeAll(async () => {
    run = await runTiny(folder, modelServer(), { instructions: 5, documents: 10, structuredOutput: 'json_schema' })
  }, timeoutMs)
  afterAll(() => removeFolder(folder))

  it('end as a result, a drop or a dead letter, each of them', () => {
    const { operators, conservation } = run.status
    expect(conservation).toBe('ok')
    for (const [name, { in: inputs, done, dropped, failed, lag }] of Object.entries(operators)) {
      expect([name, done + sum(dropped) + sum(failed), lag]).toEqual([name, inputs, 0])
    }
    expect(operators['dedupe-real']).toMatchObject({ in: 5, done: 5 })
    expect(operators['score-real']?.in).toBe(5)
    expect(operators.situate?.in).toBe(10)
  })

  it('leave what the model said, or the endpoint answered, where they are dead letters', () => {
    expect(run.letters).toHaveLength(run.status.topics.failed?.records ?? -1)
    for (const { code, evidence } of run.letters) {
      expect(code).toMatch(/^MODEL_/)
      expect(evidence.kind).toMatch(/^(reply|response)$/)
      expect(evidence.text).not.toBe('')
    }
  })

  it('give replies of which none is taken for an answer that is none', () => {
    const ours = yieldOf(run.replies, readAsOperator)
    const reference = yieldOf(run.replies, readAsReference)
    for (const step of tinySteps) {
      const { replies, taken } = yieldOf(run.replies, readAsOperator, step)
      console.log(`${step}: ${taken} of ${replies} replies taken`)
    }
    console.log(
      `with a real model in ${Math.round(run.seconds)} s: ${ours.taken} of ${ours.replies} replies taken, ` +
        `${ours.wrong} wrongly; by the regular expression of the reference code ${reference.taken}, ${reference.wrong} wrongly`,
    )
    expect(ours.wrong).toBe(0)
    expect(ours.taken).toBeGreaterThan(reference.taken - reference.wrong)
  })
})
