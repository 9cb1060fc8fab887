import { parseArgs } from 'node:util'
import { startServices } from './index.ts'
import { chooseWay } from './way.ts'

const usage = `Usage: npm run services -- start [--brokers 1|3] [--sasl] [--no-registry]
       npm run services -- check

start   prints the addresses as JSON when all answer, and keeps them running until it is stopped
check   says how the services would be had here; exit code 1 where they can't be had`

async function start(words: string[]): Promise<void> {
  const { values } = parseArgs({
    args: words,
    allowNegative: true,
    options: {
      brokers: { type: 'string', default: '1' },
      sasl: { type: 'boolean', default: false },
      registry: { type: 'boolean', default: true },
    },
  })
  if (values.brokers !== '1' && values.brokers !== '3') throw new Error(`--brokers is 1 or 3, not ${values.brokers}`)
  const stopped = new Promise(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, resolve)
  })
  const brokers = values.brokers === '3' ? 3 : 1
  const services = await startServices({ brokers, sasl: values.sasl, registry: values.registry })
  const { way, registry, sasl } = services
  console.log(JSON.stringify({ way, brokers: services.brokers, registry, sasl, pids: services.pids() }, null, 2))
  const alive = setInterval(() => {}, 60_000)
  await stopped
  clearInterval(alive)
  await services.stop()
}

async function check(): Promise<void> {
  const way = await chooseWay()
  console.log(way.kind === 'none' ? `none: ${way.reason}` : way.kind)
  if (way.kind === 'environment') console.log(JSON.stringify({ brokers: way.brokers, registry: way.registry }))
  if (way.kind === 'none') process.exitCode = 1
}

const [command, ...words] = process.argv.slice(2)
try {
  if (command === 'start') await start(words)
  else if (command === 'check') await check()
  else {
    console.error(usage)
    process.exitCode = 2
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
