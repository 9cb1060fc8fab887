import { expect, test } from 'vitest'
import { type Report, summarise } from '../../scripts/summary.ts'

function report(passed: number, failed: number, results: Report['testResults'] = []): Report {
  return {
    numPassedTests: passed,
    numFailedTests: failed,
    numPendingTests: 2,
    numTodoTests: 1,
    testResults: results,
  }
}

test('counts todo tests as skipped', () => {
  expect(summarise(report(7, 0))).toEqual({ line: '7 passed, 0 failed, 3 skipped', ok: true })
})

test('is not ok where a test failed or none passed', () => {
  expect(summarise(report(7, 1)).ok).toBe(false)
  expect(summarise(report(0, 0)).ok).toBe(false)
})

test('counts a file that fails at its import as one failed test', () => {
  const results = [
    { status: 'failed', assertionResults: [] },
    { status: 'failed', assertionResults: [{ status: 'failed' }] },
    { status: 'passed', assertionResults: [{ status: 'passed' }] },
  ]
  expect(summarise(report(1, 1, results)).line).toBe('1 passed, 2 failed, 3 skipped')
})
