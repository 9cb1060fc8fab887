import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, it } from 'vitest'
import type { Clock } from '../../../streams/clock.ts'
import { MetricsServer } from '../../../streams/metrics/metrics.ts'
import type { Pipeline } from '../../../streams/pipeline.ts'
import { MemoryLog } from '../../../streams/transports/memory.ts'
import { expectError } from '../../contracts/transport/fixture.ts'
import { fasterClock, memoryPipeline, toDocument, toyRun, toyStage, writeArticles } from '../../support/pipeline.ts'
import { mustSitu, removeFolder, Situ, temporaryFolder } from '../../support/situ.ts'
import { until } from '../../support/until.ts'

const servers: MetricsServer[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

async function serve(pipeline: Pipeline, run: ReturnType<typeof toyRun>, stop: AbortSignal) {
  const server = await MetricsServer.open(pipeline, run, { host: '127.0.0.1', port: 0, recordTimeoutMs: 60_000, stop })
  servers.push(server)
  const get = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`)
    return { status: response.status, text: await response.text() }
  }
  /** A figure of /metrics by name and labels; NaN where there is none. */
  const figure = async (name: string) => {
    const line = (await get('/metrics')).text.split('\n').find(line => line.startsWith(`${name} `))
    return Number(line?.split(' ').at(-1) ?? Number.NaN)
  }
  return { server, get, figure }
}

/** A run whose operator is never reached, and its server. */
async function serveIdle(pipeline: Pipeline) {
  const stop = new AbortController()
  const stage = toyStage(() => [])
  const run = toyRun(pipeline, stage, { follow: true, stop: stop.signal })
  return { run, stop, ...(await serve(pipeline, run, stop.signal)) }
}

const texts = Array.from({ length: 30 }, (_, number) => `text ${number}`)
const labels = 'stage="toy",variant="main"'

describe('metrics of a run', () => {
  it('tell what was worked, dropped, committed and what waits', async () => {
    const pipeline = await memoryPipeline()
    await writeArticles(pipeline, texts)
    const stop = new AbortController()
    const gate = Promise.withResolvers<void>()
    const { drop } = await import('../../../operators/operator.ts')
    const stage = toyStage(async article => {
      const number = Number(article.text.split(' ')[1])
      if (number >= 10) await gate.promise
      return number % 5 === 0 ? drop('unwanted') : [toDocument(article)]
    })
    const run = toyRun(pipeline, stage, { follow: true, stop: stop.signal, concurrency: 4 })
    const { figure, get } = await serve(pipeline, run, stop.signal)
    expect((await get('/ready')).status).toBe(503)
    const working = run.work()
    await until(async () => (await figure(`situ_record_done_total{${labels}}`)) === 8)
    await until(async () => (await figure(`situ_in_flight_records{${labels}}`)) === 4)
    expect(await figure(`situ_record_dropped_total{${labels},reason="unwanted"}`)).toBe(2)
    await until(async () => (await figure(`situ_lag_records{${labels}}`)) === 16)
    expect(await figure(`situ_commit_total{${labels}}`)).toBeGreaterThan(0)
    expect(await figure(`situ_task_count{${labels}}`)).toBe(1)
    expect(await figure('situ_transport_reachable')).toBe(1)
    expect((await get('/ready')).status).toBe(200)
    expect((await get('/live')).status).toBe(200)
    gate.resolve()
    await until(async () => (await figure(`situ_record_done_total{${labels}}`)) === 24)
    await until(async () => (await figure(`situ_lag_records{${labels}}`)) === 0)
    stop.abort()
    expect((await get('/ready')).text).toContain('stopping')
    await working
  })

  it('count since the start of the process, not since the beginning of the log', async () => {
    const log = new MemoryLog()
    const pipeline = await memoryPipeline(log)
    await writeArticles(pipeline, texts.slice(0, 10))
    const stage = toyStage(article => [toDocument(article)])
    await toyRun(pipeline, stage).work()
    await writeArticles(pipeline, texts.slice(10, 13))
    const stop = new AbortController()
    const run = toyRun(pipeline, stage, { follow: true, stop: stop.signal })
    const { figure } = await serve(pipeline, run, stop.signal)
    const working = run.work()
    await until(async () => (await figure(`situ_record_done_total{${labels}}`)) >= 3)
    expect(await figure(`situ_record_done_total{${labels}}`)).toBe(3)
    expect(await figure(`situ_record_in_total{${labels}}`)).toBe(3)
    stop.abort()
    await working
  })

  it('keep the sums of tasks that another worker has taken over', async () => {
    const log = new MemoryLog()
    const [left, right] = [await memoryPipeline(log), await memoryPipeline(log)]
    await writeArticles(left, texts)
    const stop = new AbortController()
    const stage = toyStage(article => [toDocument(article)])
    const run = toyRun(left, stage, { follow: true, stop: stop.signal })
    const { figure } = await serve(left, run, stop.signal)
    const working = run.work()
    await until(async () => (await figure(`situ_record_done_total{${labels}}`)) === 30)
    log.expire('main-toy-0')
    const other = new AbortController()
    const taking = toyRun(right, stage, { follow: true, stop: other.signal }).work()
    await writeArticles(right, ['one more'])
    await until(async () => (await figure(`situ_task_lost_total{${labels}}`)) === 1)
    expect(await figure(`situ_record_done_total{${labels}}`)).toBe(30)
    expect(await figure(`situ_task_count{${labels}}`)).toBeNaN()
    other.abort()
    await taking
    stop.abort()
    await working
  })
})

describe('health of a run', () => {
  it('is not ready while the transport does not answer, and says so', async () => {
    const pipeline = await memoryPipeline(new MemoryLog(), fasterClock(50))
    const { run, stop, get } = await serveIdle(pipeline)
    const working = run.work()
    await until(async () => (await get('/ready')).status === 200)
    const { bounds } = pipeline.transport
    pipeline.transport.bounds = () => new Promise(() => {})
    await until(async () => (await get('/ready')).status === 503)
    expect((await get('/ready')).text).toContain('transport has not answered')
    expect((await get('/live')).status).toBe(200)
    pipeline.transport.bounds = bounds
    await until(async () => (await get('/ready')).status === 200)
    stop.abort()
    await working
  })

  it('is told without a wait for a transport that hangs: who probes would take that for a dead process', async () => {
    const pipeline = await memoryPipeline()
    pipeline.transport.bounds = () => new Promise(() => {})
    // Time in which half a second is over at once, and a second never.
    const sleep: Clock['sleep'] = ms => new Promise(resolve => ms < 1000 && setImmediate(resolve))
    const run = toyRun(
      pipeline,
      toyStage(() => []),
    )
    const hurried = { ...pipeline, clock: { now: pipeline.clock.now, sleep } }
    const { get } = await serve(hurried, run, new AbortController().signal)
    expect((await get('/live')).status).toBe(200)
    expect((await get('/ready')).text).toContain('has not joined')
    expect((await get('/metrics')).text).toContain('situ_live 1')
  })

  it('is not live where messages wait and nothing fetches them, though the process is up', async () => {
    const pipeline = await memoryPipeline(new MemoryLog(), fasterClock(1000))
    const { transport } = pipeline
    const { join } = transport
    transport.join = (tasks, assigned) =>
      join.call(transport, tasks, claim =>
        assigned({
          task: claim.task,
          epoch: claim.epoch,
          lost: claim.lost,
          commit: (...step) => claim.commit(...step),
          release: () => claim.release(),
          read: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) }),
        }),
      )
    await writeArticles(pipeline, texts)
    const { run, get } = await serveIdle(pipeline)
    void run.work()
    await until(async () => (await get('/live')).status === 503)
    expect((await get('/live')).text).toMatch(/main-toy-0: 30 messages wait/)
  })
})

it('the README tells each figure, and none that is not there', async () => {
  const { get, stop } = await serveIdle(await memoryPipeline())
  const served = [...(await get('/metrics')).text.matchAll(/^# TYPE situ_(\S+)/gm)].map(([, name]) => name)
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8')
  const figures = readme.slice(readme.indexOf('### Figures'), readme.indexOf('## Models'))
  const told = [...figures.matchAll(/`([a-z]+(?:_[a-z]+)+|live|ready)`/g)].map(([, name]) => name)
  expect(told.sort()).toEqual(served.sort())
  stop.abort()
})

describe('metrics server', () => {
  it('answers GET on its three paths only', async () => {
    const pipeline = await memoryPipeline()
    const stop = new AbortController()
    const { get, server } = await serve(
      pipeline,
      toyRun(
        pipeline,
        toyStage(() => []),
      ),
      stop.signal,
    )
    expect((await get('/')).status).toBe(404)
    const posted = await fetch(`http://127.0.0.1:${server.port}/metrics`, { method: 'POST', body: 'x' })
    expect(posted.status).toBe(405)
    expect((await get('/metrics?x=1')).text).toContain('process_cpu_user_seconds_total')
  })

  it('names the port that is taken', async () => {
    const pipeline = await memoryPipeline()
    const run = toyRun(
      pipeline,
      toyStage(() => []),
    )
    const { server } = await serve(pipeline, run, new AbortController().signal)
    const options = { host: '127.0.0.1', port: server.port, recordTimeoutMs: 1, stop: new AbortController().signal }
    await expectError(() => MetricsServer.open(pipeline, run, options), 'CONFIGURATION_INVALID', server.port)
  })
})

describe('situ run --metrics-port', () => {
  it('serves figures and health while it follows, and ends with the run', async () => {
    const folder = temporaryFolder()
    const text = Array.from({ length: 20 }, (_, number) => `The river was measured ${number} times.`).join(' ')
    const lines = texts.map(word => JSON.stringify({ url: 'https://example.org', text: `${text} ${word}` })).join('\n')
    await mustSitu(['ingest', '-', '--data', folder], { input: lines, cwd: folder })
    const running = new Situ(['run', 'extract', '--follow', '--metrics-port', '0', '--data', folder], { cwd: folder })
    try {
      await running.printed(({ stderr }) => stderr.includes('/metrics'))
      const url = /http:[^"\s]*\/metrics/.exec(running.stderr)?.[0] ?? ''
      const metrics = async () => (await fetch(url)).text()
      const done = /^situ_record_done_total\{stage="extract",variant="main"\} 30$/m
      await until(async () => done.test(await metrics()))
      await until(async () => /^situ_lag_records\{stage="extract",variant="main"\} 0$/m.test(await metrics()))
      for (const path of ['/live', '/ready']) {
        const response = await fetch(url.replace('/metrics', path))
        expect([response.status, await response.text()]).toEqual([200, 'ok\n'])
      }
    } finally {
      running.child.kill('SIGTERM')
    }
    expect((await running.done).code).toBe(0)
    removeFolder(folder)
  })
})
