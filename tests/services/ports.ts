import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/**
 * Ports that nothing listens on. They lie below those that systems give to outgoing connections: a client that keeps
 * asking for a stopped broker's port would one day be given that very port, and talk to itself.
 */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>()
  for (let tries = 0; found.size < count; tries++) {
    if (tries > 1_000) throw new Error(`found no ${count} free ports between 12000 and 32000`)
    const port = randomInt(12_000, 32_000)
    if (await isFree(port)) found.add(port)
  }
  return [...found]
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
