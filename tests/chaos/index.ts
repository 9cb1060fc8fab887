import { stopServices } from '../support/fault-run.ts'
import { runScript } from '../support/scripts.ts'

try {
  await runScript(import.meta.dirname, process.argv.slice(2))
} finally {
  await stopServices()
}
