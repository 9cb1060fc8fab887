import { MemorySpendingStore } from '../../../../streams/spending/stores/memory.ts'
import { testSpendingStore } from '../../../contracts/spending-store.ts'

testSpendingStore('memory', async () => {
  let time = 1_700_000_000_000
  const store = new MemorySpendingStore({ now: () => time })
  return {
    open: async () => store,
    pass: async ms => {
      time += ms
    },
    now: async () => time,
    close: () => store.close(),
  }
})
