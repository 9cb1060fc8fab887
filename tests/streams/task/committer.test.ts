import { expect, it } from 'vitest'
import { stages } from '../../../streams/chain/topology.ts'
import { readStatus } from '../../../streams/inspect/status.ts'
import { memoryPipeline, toyRun, writeArticles } from '../../support/pipeline.ts'

it('a stage with state commits what it worked while the commit before it took its time, all at once', async () => {
  const pipeline = await memoryPipeline()
  const { transport, clock } = pipeline
  const { join } = transport
  transport.join = (tasks, assigned) =>
    join.call(transport, tasks, claim => {
      const commit = claim.commit.bind(claim)
      claim.commit = async (...step) => {
        // As long as busy brokers take.
        await clock.sleep(250)
        return commit(...step)
      }
      assigned(claim)
    })
  const records = 400
  await writeArticles(
    pipeline,
    Array.from({ length: records }, (_, number) => `Text number ${number} of many.`),
  )
  const stage = stages.find(({ name }) => name === 'dedupe-document')
  if (!stage) throw new Error('no stage dedupe-document')
  await toyRun(pipeline, stage, { configured: stage.operator.options.parse({}) as object }).work()
  const { operators } = await readStatus(pipeline, await transport.survey('task'))
  expect(operators['dedupe-document']).toMatchObject({ in: records, done: records })
  expect(operators['dedupe-document']?.commits).toBeLessThan(records / 10)
})
