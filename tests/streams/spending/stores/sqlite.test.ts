import { SqliteSpendingStore } from '../../../../streams/spending/stores/sqlite.ts'
import { fixtureOf, testSpendingStore } from '../../../contracts/spending-store.ts'
import { removeFolder, temporaryFolder } from '../../../support/situ.ts'

testSpendingStore('sqlite', async () => {
  const folder = temporaryFolder()
  return fixtureOf(
    now => SqliteSpendingStore.open(folder, { create: true, now }),
    () => removeFolder(folder),
  )
})
