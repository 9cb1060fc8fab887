import { describe, expect, it } from 'vitest'
import { stages } from '../../../streams/chain/topology.ts'
import type { Clock } from '../../../streams/clock.ts'
import type { Pipeline } from '../../../streams/pipeline.ts'
import type { SearchSource } from '../../../streams/searches/search.ts'
import { DocumentsFirst, type WorkedTo } from '../../../streams/task/documents-first.ts'
import { StageBinding } from '../../../streams/task/stage-binding.ts'
import { memoryPipeline, toDocument, toyRun, toyStage, writeArticles } from '../../support/pipeline.ts'

const toy = toyStage(record => [toDocument(record)])
const maker = new StageBinding(toy, {}, { prompt: null, model: null, snapshot: null })

function lookerWith(isRemote: boolean): StageBinding {
  const search: SearchSource = {
    name: 'a search',
    isRemote,
    open: () => Promise.reject(new Error('nothing is looked for')),
  }
  const stage = stages.find(({ name }) => name === 'retrieve')
  if (!stage) throw new Error('there is no retrieve')
  return new StageBinding(stage, {}, { prompt: null, model: null, snapshot: null, search })
}

const looker = lookerWith(false)

/** Time that stands still until it is told to go on; each wait is seen. */
class HeldClock implements Clock {
  #waiting = Promise.withResolvers<void>()
  #release = () => {}

  now(): number {
    return 0
  }

  sleep(_ms: number, signal?: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    signal?.addEventListener('abort', () => resolve(), { once: true })
    this.#release = resolve
    this.#waiting.resolve()
    return promise
  }

  /** Resolves when something waits. */
  get waits(): Promise<void> {
    return this.#waiting.promise
  }

  goOn(): void {
    this.#waiting = Promise.withResolvers()
    this.#release()
  }
}

async function begin(workedTo: WorkedTo, bindings = [maker, looker]) {
  const clock = new HeldClock()
  const pipeline: Pipeline = { ...(await memoryPipeline()), clock }
  const first = new DocumentsFirst(pipeline, workedTo)
  await first.open(bindings)
  const stop = new AbortController()
  return { pipeline, clock, first, stop, wait: () => first.of(looker)?.(stop.signal) }
}

describe('a stage that looks for documents', () => {
  it('waits for what was there when it asked, and not for what comes meanwhile', async () => {
    let worked = 0
    const { pipeline, clock, wait } = await begin((_, topic) => (topic === 'retry' ? 0 : worked))
    await writeArticles(pipeline, ['before'])
    const ready = wait()
    await clock.waits
    await writeArticles(pipeline, ['meanwhile', 'and again'])
    worked = 1
    clock.goOn()
    await ready
  })

  it('waits for the task of another worker by its record', async () => {
    const { pipeline, clock, wait } = await begin(() => null)
    await writeArticles(pipeline, ['a', 'b'])
    const ready = wait()
    await clock.waits
    await toyRun(await sameLog(pipeline), toy).work()
    clock.goOn()
    await ready
  })

  it('ends waiting where it is told to stop', async () => {
    const { pipeline, clock, stop, wait } = await begin(() => 0)
    await writeArticles(pipeline, ['never worked'])
    const ready = wait()
    await clock.waits
    stop.abort()
    await ready
  })

  it('waits for nothing where this run makes no documents, or others are asked for them', async () => {
    const alone = await begin(() => 0, [looker])
    expect(alone.first.of(looker)).toBeUndefined()
    const remote = lookerWith(true)
    const { first } = await begin(() => 0, [maker, remote])
    expect(first.of(remote)).toBeUndefined()
    expect(first.of(maker)).toBeUndefined()
  })
})

/** The same log with time that goes on. */
async function sameLog(pipeline: Pipeline): Promise<Pipeline> {
  const { clock } = await memoryPipeline()
  return { ...pipeline, clock }
}
