import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SqliteSpendingStore } from '../../../../streams/spending/stores/sqlite.ts'
import { testSpendingStore } from '../../../contracts/spending-store.ts'

testSpendingStore('sqlite', async () => {
  let time = 1_700_000_000_000
  const folder = mkdtempSync(join(tmpdir(), 'situ-spending-'))
  const opened: SqliteSpendingStore[] = []
  return {
    open: async () => {
      const store = await SqliteSpendingStore.open(folder, { create: true, now: () => time })
      opened.push(store)
      return store
    },
    pass: async ms => {
      time += ms
    },
    now: async () => time,
    close: async () => {
      for (const store of opened) await store.close()
      rmSync(folder, { recursive: true })
    },
  }
})
