import { afterAll, beforeAll } from 'vitest'
import { RedisSpendingStore } from '../../../../streams/spending/stores/redis.ts'
import { testSpendingStore } from '../../../contracts/spending-store.ts'
import { uniqueName } from '../../../contracts/transport/fixture.ts'
import { RedisServer } from '../../../services/redis.ts'

let server: RedisServer
beforeAll(async () => {
  server = await RedisServer.start()
})
afterAll(() => server.stop())

testSpendingStore('redis', async () => {
  let time = 1_700_000_000_000
  const prefix = uniqueName('test')
  const opened: RedisSpendingStore[] = []
  return {
    open: async () => {
      const store = await RedisSpendingStore.open({ url: server.url, prefix, now: () => time })
      opened.push(store)
      return store
    },
    pass: async ms => {
      time += ms
    },
    now: async () => time,
    close: async () => {
      for (const store of opened) await store.close()
    },
  }
})
