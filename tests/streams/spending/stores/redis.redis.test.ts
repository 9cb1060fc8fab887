import { afterAll, beforeAll } from 'vitest'
import { RedisSpendingStore } from '../../../../streams/spending/stores/redis.ts'
import { fixtureOf, testSpendingStore } from '../../../contracts/spending-store.ts'
import { uniqueName } from '../../../contracts/transport/fixture.ts'
import { RedisServer } from '../../../services/redis.ts'

let server: RedisServer
beforeAll(async () => {
  server = await RedisServer.start()
})
afterAll(() => server.stop())

testSpendingStore('redis', async () => {
  const prefix = uniqueName('test')
  return fixtureOf(now => RedisSpendingStore.open({ url: server.url, prefix, now }))
})
