import { connect, type Socket } from 'node:net'
import type { KafkaOptions } from '../../../streams/transports/kafka/index.ts'

/** Numbers of requests in Kafka's protocol. */
export const requests = {
  produce: 0,
  addPartitionsToTransaction: 24,
  endTransaction: 26,
  heartbeat: 12,
  apiVersions: 18,
} as const

interface Fault {
  request: number
  when: 'lost' | 'unanswered' | 'ignored'
  left: number
  struck: () => void
}

/**
 * Connections that break at chosen requests: `lost` before they leave, `unanswered` when the broker has worked them. With
 * `ignored` the request is swallowed, and the connection stays.
 */
export class FaultySockets {
  readonly #faults: Fault[] = []
  readonly #sockets = new Set<Socket>()
  isDown = false

  /** Breaks the next connections that send such a request; resolves when all have been broken. */
  break(request: number, when: Fault['when'], times = 1): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#faults.push({ request, when, left: times, struck: resolve })
    return promise
  }

  /** Breaks all connections, and every new one. */
  down(): void {
    this.isDown = true
    for (const socket of this.#sockets) socket.destroy(new Error('broken by the test'))
  }

  up(): void {
    this.isDown = false
  }

  readonly factory: NonNullable<KafkaOptions['socketFactory']> = ({ host, port, onConnect }) => {
    const socket = connect({ host, port: this.isDown ? 1 : port }, onConnect)
    socket.setNoDelay(true)
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    const write = socket.write.bind(socket)
    socket.write = ((bytes: Buffer, ...rest: [BufferEncoding]) => {
      const fault = this.#faults.find(({ request, left }) => left > 0 && bytes.readInt16BE(4) === request)
      if (!fault) return write(bytes, ...rest)
      if (--fault.left === 0) fault.struck()
      if (fault.when === 'ignored') return true
      if (fault.when === 'lost') return void socket.destroy(new Error('broken by the test'))
      socket.removeAllListeners('data')
      socket.once('data', () => socket.destroy(new Error('broken by the test')))
      return write(bytes, ...rest)
    }) as Socket['write']
    return socket
  }
}
