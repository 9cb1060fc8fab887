import { MemoryLog, MemoryTransport } from '../../../streams/transports/memory.ts'
import { testTransport } from '../../contracts/transport.ts'

testTransport({
  name: 'memory',
  indexesKeys: true,
  create: async () => {
    const log = new MemoryLog()
    const opened: MemoryTransport[] = []
    let time = 1_600_000_000_000
    return {
      open: async () => {
        const limits = { maxMessageBytes: 4 << 20, maxCommitBytes: 8 << 20 }
        const transport = new MemoryTransport({ log, now: () => time++, limits })
        opened.push(transport)
        return transport
      },
      expire: async task => log.expire(task.id),
      close: async () => {
        for (const transport of opened) await transport.close()
      },
    }
  },
})
