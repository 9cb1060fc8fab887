import { afterEach, beforeEach, describe } from 'vitest'
import type { TransportFixture, TransportSuite } from './transport/fixture.ts'
import { testKeys } from './transport/keys.ts'
import { testReading } from './transport/reading.ts'
import { testTasks } from './transport/tasks.ts'
import { testWriting } from './transport/writing.ts'

export type { TransportFixture, TransportSuite } from './transport/fixture.ts'

/**
 * The contract of a Transport, for every backend. It takes no offset to follow on another, waits for events only, and
 * uses no topic twice.
 */
export function testTransport(suite: TransportSuite): void {
  describe(`${suite.name} transport`, () => {
    let current: TransportFixture | null = null
    const fixture = () => {
      if (!current) throw new Error('the fixture is there only while a test runs')
      return current
    }
    beforeEach(async () => {
      current = await suite.create()
    })
    afterEach(async () => {
      await current?.close()
    })

    describe('reading', () => testReading(fixture))
    describe('writing', () => testWriting(fixture, suite))
    describe('tasks', () => testTasks(fixture))
    describe('keys', () => testKeys(fixture, suite))
  })
}
