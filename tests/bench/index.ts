import { runScript } from '../support/scripts.ts'

await runScript(import.meta.dirname, process.argv.slice(2))
