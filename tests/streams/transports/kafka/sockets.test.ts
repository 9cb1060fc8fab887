import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { expect, it } from 'vitest'
import { openSocket, Sockets } from '../../../../streams/transports/kafka/sockets.ts'

it('collects no listeners on a connection that is closed and ended again and again', async () => {
  const server = createServer(client => client.end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const sockets = new Sockets(openSocket)
  // The types of kafkajs want `ssl` always; without it kafkajs passes none.
  const plain = { host: '127.0.0.1', port, onConnect: () => {} } as Parameters<typeof openSocket>[0]
  const socket = sockets.factory(plain)
  socket.resume()
  await once(socket, 'close')
  const before = socket.listenerCount('connect')
  for (let time = 0; time < 20; time++) {
    socket.end()
    socket.unref()
  }
  expect(socket.listenerCount('connect')).toBe(before)
  server.close()
})
