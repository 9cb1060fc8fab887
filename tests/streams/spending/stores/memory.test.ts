import { MemorySpendingStore } from '../../../../streams/spending/stores/memory.ts'
import { fixtureOf, testSpendingStore } from '../../../contracts/spending-store.ts'

testSpendingStore('memory', async () => {
  let only: MemorySpendingStore | null = null
  return fixtureOf(async now => {
    only ??= new MemorySpendingStore({ now })
    return only
  })
})
