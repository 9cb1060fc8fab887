import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const heap = JSON.stringify(join(import.meta.dirname, '../../streams/heap.ts'))

/** Keeps what it makes for a while, as many calls at once do. @returns The most that young objects had, in bytes. */
const program = (before: string) => `
  import { getHeapSpaceStatistics } from 'node:v8'
  ${before}
  let most = 0
  const kept = []
  for (let round = 0; round < 60; round++) {
    if (round % 6 === 0) kept.length = 0
    for (let index = 0; index < 20_000; index++) kept.push(Array.from({ length: 8 }, () => round))
    const { space_size } = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')
    most = Math.max(most, space_size)
    await new Promise(resolve => setImmediate(resolve))
  }
  console.log(most)`

const mostYoung = (before: string) =>
  Number(execFileSync(process.execPath, ['--input-type=module', '-e', program(before)], { encoding: 'utf8' }))

it('the space of young objects ends to grow at twice its bound at most, and would go on without it', () => {
  const bounded = mostYoung(`import { boundHeap } from ${heap}; boundHeap()`)
  expect(bounded).toBeLessThanOrEqual(2 * 33_554_432)
  expect(mostYoung('')).toBeGreaterThan(bounded)
})
