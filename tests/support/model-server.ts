import { inject } from 'vitest'
import type {} from '../services/global-setup.ts'
import type { ModelAddress } from '../services/model-server.ts'

/** The real model of this test run: for `.model.test.ts` files, which alone bring it up. */
export function modelServer(): ModelAddress {
  const server = inject('modelServer')
  if (!server || 'missing' in server) throw new Error('only a .model.test.ts file has a model server')
  return server
}
