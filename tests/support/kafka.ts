import { randomBytes } from 'node:crypto'
import { inject } from 'vitest'
import type {} from '../services/global-setup.ts'
import type { Addresses } from '../services/index.ts'

/** The services of this test run: for `.kafka.test.ts` files, which alone bring them up. Shared, so leave no faults behind. */
export function kafkaServices(): Addresses & { registry: string } {
  const services = inject('services')
  if (!services || 'missing' in services) throw new Error('only a .kafka.test.ts file has Kafka')
  const { registry } = services
  if (registry === null) throw new Error('the services of this run have no schema registry')
  return { ...services, registry }
}

/** A prefix for the names of topics, groups and transactions that no other test has: `situ-<random>.`. */
export function uniquePrefix(name = 'situ'): string {
  return `${name}-${randomBytes(6).toString('hex')}.`
}
