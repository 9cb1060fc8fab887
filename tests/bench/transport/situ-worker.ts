/** A worker of ours: the product's own run, with the no-op stage. Words: configuration as JSON, name of the stage. */
import { runOptions } from '../../../streams/commands/run.ts'
import { readConfig } from '../../../streams/config/config.ts'
import { createLogger } from '../../../streams/log.ts'
import { openPipeline } from '../../../streams/pipeline.ts'
import { Run } from '../../../streams/run.ts'
import { noopBinding } from './noop.ts'

const [flags = '{}', name = ''] = process.argv.slice(2)
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())
const { config } = readConfig(JSON.parse(flags), {})
const pipeline = await openPipeline(config, 'change')
const options = { ...runOptions(config, stop.signal), follow: true, bindings: [noopBinding(name)] }
await new Run(pipeline, options, createLogger(config)).work()
await pipeline.close()
