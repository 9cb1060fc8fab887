import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text as readText } from 'node:stream/consumers'

/** An answered call as it went through. */
export interface RecordedReply {
  /** First part of the path, by which callers are told apart. */
  caller: string
  text: string
  finishReason: string
}

/** Stands before a model server, passes calls to `/<caller>/v1/…` on, and keeps what it answered. */
export class RecordingProxy {
  readonly replies: RecordedReply[] = []
  readonly #server: Server
  readonly #target: string

  private constructor(target: string) {
    this.#target = target
    this.#server = createServer((request, response) => {
      this.#pass(request).then(
        ({ status, body }) => response.writeHead(status, { 'content-type': 'application/json' }).end(body),
        () => response.destroy(),
      )
    })
  }

  /** @param target - Base URL of the server, up to `/v1`. */
  static async start(target: string): Promise<RecordingProxy> {
    const proxy = new RecordingProxy(target)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    proxy.#server.once('error', reject).listen(0, '127.0.0.1', resolve)
    await promise
    return proxy
  }

  urlFor(caller: string): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${caller}/v1`
  }

  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#server.close(() => resolve())
    this.#server.closeAllConnections()
    await promise
  }

  async #pass(request: IncomingMessage): Promise<{ status: number; body: string }> {
    const [, caller = '', , ...rest] = (request.url ?? '').split('/')
    const sent = { method: 'POST', headers: { 'content-type': 'application/json' }, body: await readText(request) }
    const answer = await fetch(`${this.#target}/${rest.join('/')}`, sent)
    const body = await answer.text()
    if (answer.ok) this.#keep(caller, body)
    return { status: answer.status, body }
  }

  #keep(caller: string, body: string): void {
    const { choices = [] } = JSON.parse(body) as Completion
    for (const { message, finish_reason: finishReason } of choices) {
      this.replies.push({ caller, text: message.content ?? '', finishReason })
    }
  }
}

interface Completion {
  choices?: { message: { content: string | null }; finish_reason: string }[]
}
