/** Joins the workers of a prefix and prints each task that it takes, until it is killed: `node joining-child.ts OPTIONS TASKS`, in JSON. */
import { openKafka } from '../../../../streams/transports/kafka/index.ts'

const [options = '', tasks = ''] = process.argv.slice(2)
const transport = await openKafka(JSON.parse(options))
await transport.join(JSON.parse(tasks), ({ task }) => process.stdout.write(`${JSON.stringify(task.id)}\n`))
