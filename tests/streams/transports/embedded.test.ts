import { rmSync } from 'node:fs'
import { leasePath } from '../../../streams/sqlite/lease-file.ts'
import { testTransport } from '../../contracts/transport.ts'
import { DataFolder } from './data-folder.ts'

testTransport({
  name: 'embedded',
  indexesKeys: true,
  create: async () => {
    const folder = new DataFolder()
    return {
      open: () => folder.open({ limits: { maxMessageBytes: 4 << 20, maxCommitBytes: 8 << 20 } }),
      // The owner keeps the lock of a file that is not there any more.
      expire: async task => rmSync(leasePath(folder.path, task.id)),
      close: () => folder.remove(),
    }
  },
})
