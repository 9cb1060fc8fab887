import { connect, createServer, type Server, type Socket } from 'node:net'

/** Kafka's numbers of the requests that are told apart here. */
export const request = { txnOffsetCommit: 28, endTxn: 26 } as const

/** What was held back. */
export interface Held {
  /** Requests that the client had sent to this broker since its last end of a transaction. */
  before: readonly number[]
}

/** Stands between clients and a broker, passes everything on, and holds back a request when it is told to. */
export class HoldingProxy {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #target: number
  #holds: { key: number; behind: number; resolve: (held: Held) => void } | null = null

  private constructor(target: number) {
    this.#target = target
    this.#server = createServer(client => this.#pass(client))
  }

  /** @param ports - Where clients come, and where the broker listens, on this machine. */
  static async start({ advertised, listening }: { advertised: number; listening: number }): Promise<HoldingProxy> {
    const proxy = new HoldingProxy(listening)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    proxy.#server.once('error', reject).listen(advertised, '127.0.0.1', resolve)
    await promise
    return proxy
  }

  /**
   * Resolves when a request with this number has come behind one with the other, without an end of a transaction between
   * them on its connection. Neither it nor anything behind it there reaches the broker; other connections are not touched.
   */
  hold(key: number, behind: number): Promise<Held> {
    const { promise, resolve } = Promise.withResolvers<Held>()
    this.#holds = { key, behind, resolve }
    return promise
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#server.close(() => resolve())
    await promise
  }

  #pass(client: Socket): void {
    const broker = connect(this.#target, '127.0.0.1')
    const frames = new Frames()
    let before: number[] = []
    let isHeld = false
    client.on('data', data => {
      for (const { key, bytes } of frames.add(data)) {
        if (this.#holds?.key === key && before.includes(this.#holds.behind) && !isHeld) {
          isHeld = true
          this.#holds.resolve({ before })
          this.#holds = null
        }
        if (isHeld) return
        before = key === request.endTxn ? [] : [...before.slice(-100), key]
        broker.write(bytes)
      }
    })
    broker.on('data', data => client.write(data))
    for (const [socket, other] of [
      [client, broker],
      [broker, client],
    ] as const) {
      this.#sockets.add(socket)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
    }
  }
}

/** Cuts a stream into requests: four bytes of size, then two of the request's number. */
class Frames {
  #rest: Buffer = Buffer.alloc(0)

  add(data: Buffer): { key: number; bytes: Buffer }[] {
    const whole: { key: number; bytes: Buffer }[] = []
    this.#rest = Buffer.concat([this.#rest, data])
    while (this.#rest.length >= 6) {
      const size = 4 + this.#rest.readInt32BE(0)
      if (this.#rest.length < size) break
      const bytes = this.#rest.subarray(0, size)
      this.#rest = this.#rest.subarray(size)
      whole.push({ key: bytes.readInt16BE(4), bytes })
    }
    return whole
  }
}
