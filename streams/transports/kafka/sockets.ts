import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { KafkaConfig } from 'kafkajs'

export type SocketFactory = NonNullable<KafkaConfig['socketFactory']>

const keepAliveMs = 60_000

/**
 * Connections as kafkajs makes them, but without waiting for more to send: several tasks share a connection, and a small
 * request would wait for the answer to the one before.
 */
export const openSocket: SocketFactory = ({ host, port, ssl, onConnect }) => {
  const name = isIP(host) ? {} : { servername: host }
  const socket = ssl ? connectTls({ host, port, ...name, ...ssl }, onConnect) : connect({ host, port }, onConnect)
  socket.setKeepAlive(true, keepAliveMs)
  socket.setNoDelay(true)
  return socket
}

/** Ends at last every connection that was made: kafkajs loses sight of one where two requests open it at once. */
export class Sockets {
  readonly #sockets = new Set<Socket>()
  readonly factory: SocketFactory

  constructor(factory: SocketFactory) {
    this.factory = options => {
      const socket = factory(options)
      this.#sockets.add(socket)
      let isConnected = false
      socket.once(options.ssl ? 'secureConnect' : 'connect', () => {
        isConnected = true
      })
      socket.once('close', hadError => {
        this.#sockets.delete(socket)
        // kafkajs ends it again at every try to reach the broker, and Node would remember each time for its next connect.
        socket.unref = () => socket
        // kafkajs would wait for ever for one that ends, without an error, before it has begun.
        if (!isConnected && !hadError) socket.emit('error', new Error('closed before it was connected'))
      })
      return socket
    }
  }

  /** Fails the requests that are open: kafkajs would go on waiting for their answers, and keep the process. */
  close(): void {
    const reason = new Error('the connection is not needed any more')
    for (const socket of this.#sockets) socket.destroy(reason)
  }
}
