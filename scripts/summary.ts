/** Prints `N passed, N failed, N skipped` from vitest's JSON report; exits 1 where a test failed or none passed. */
import { readFileSync } from 'node:fs'

/** What is read of vitest's JSON report. */
export interface Report {
  numPassedTests: number
  numFailedTests: number
  numPendingTests: number
  numTodoTests: number
  testResults: { status: string; assertionResults: { status: string }[] }[]
}

export interface Summary {
  line: string
  ok: boolean
}

/** A file that fails outside its tests, such as at an import, counts as one failed test. */
export function summarise(report: Report): Summary {
  const broken = report.testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some(assertion => assertion.status === 'failed'),
  )
  const passed = report.numPassedTests
  const failed = report.numFailedTests + broken.length
  const skipped = report.numPendingTests + report.numTodoTests
  return { line: `${passed} passed, ${failed} failed, ${skipped} skipped`, ok: failed === 0 && passed > 0 }
}

/** A run that died before it wrote a report has passed nothing. */
function read(path: string): Report {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    console.error(`summary: no report of the tests: ${error instanceof Error ? error.message : error}`)
    return { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0, testResults: [] }
  }
}

if (import.meta.main) {
  const { line, ok } = summarise(read(process.argv[2] ?? ''))
  console.log(line)
  process.exitCode = ok ? 0 : 1
}
