import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** Asks again until it is true. @throws {Error} The time is over, or `ended` came first. */
export async function waitUntil(
  what: string,
  isReady: () => Promise<boolean>,
  { timeoutMs = 90_000, ended }: { timeoutMs?: number; ended?: Promise<string> } = {},
): Promise<void> {
  const deadline = Date.now() + timeoutMs
  let end: string | null = null
  ended?.then(reason => {
    end = reason
  })
  while (!(await isReady())) {
    if (end !== null) throw new Error(`${what} ended before it was ready: ${end}`)
    if (Date.now() > deadline) throw new Error(`${what} is not ready after ${timeoutMs / 1000} s`)
    await sleep(50)
  }
}

/** Whether it answers 200 to a GET within two seconds. */
export async function answersHttp(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) })
    await response.arrayBuffer()
    return response.ok
  } catch {
    return false
  }
}

/** The `host:port` of the brokers that the cluster counts as alive, as one of them tells; none where it doesn't answer. */
export async function aliveBrokers(address: string): Promise<string[]> {
  try {
    return parseBrokers(await ask(address, metadataRequest()))
  } catch {
    return []
  }
}

/** Metadata, version 1, of no topics. */
function metadataRequest(): Buffer {
  const client = Buffer.from('situ-tests')
  const request = Buffer.alloc(4 + 8 + 2 + client.length + 4)
  request.writeInt32BE(request.length - 4, 0)
  request.writeInt16BE(3, 4)
  request.writeInt16BE(1, 6)
  request.writeInt32BE(1, 8)
  request.writeInt16BE(client.length, 12)
  client.copy(request, 14)
  request.writeInt32BE(0, 14 + client.length)
  return request
}

function parseBrokers(response: Buffer): string[] {
  const count = response.readInt32BE(8)
  const found: string[] = []
  let at = 12
  for (let broker = 0; broker < count; broker++) {
    const hostEnd = at + 6 + response.readInt16BE(at + 4)
    found.push(`${response.toString('utf8', at + 6, hostEnd)}:${response.readInt32BE(hostEnd)}`)
    at = hostEnd + 6 + Math.max(0, response.readInt16BE(hostEnd + 4))
  }
  return found
}

function ask(address: string, request: Buffer): Promise<Buffer> {
  const colon = address.lastIndexOf(':')
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0)
    const socket = connect({ host: address.slice(0, colon), port: Number(address.slice(colon + 1)), timeout: 2_000 })
    const fail = (error: Error) => {
      socket.destroy()
      reject(error)
    }
    socket.on('connect', () => socket.write(request))
    socket.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes])
      if (received.length < 4 || received.length < 4 + received.readInt32BE(0)) return
      socket.destroy()
      resolve(received)
    })
    socket.on('timeout', () => fail(new Error(`${address} does not answer`)))
    socket.on('close', () => fail(new Error(`${address} closed the connection`)))
    socket.on('error', fail)
  })
}
