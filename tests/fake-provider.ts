import type { IncomingHttpHeaders } from 'node:http'
import type { ChatRequest, Outcome } from '../streams/fake-model/behaviour.ts'
import { createCounter, Replies } from '../streams/fake-model/replies.ts'
import { FakeModelServer } from '../streams/fake-model/server.ts'

export type { Behaviour, ChatRequest as ProviderRequest, Outcome } from '../streams/fake-model/behaviour.ts'

/** @param call - Number of the call, from 1. */
export type Script = (request: ChatRequest, call: number) => Outcome | Promise<Outcome>

export interface ProviderCall {
  request: ChatRequest
  headers: IncomingHttpHeaders
  path: string
}

/** The fake model in this process, on a free port, with a function as its script. */
export class FakeProvider implements AsyncDisposable {
  /** Every call in the order of arrival. */
  readonly calls: ProviderCall[] = []
  readonly #server: FakeModelServer
  readonly #waiting: { count: number; resolve: () => void }[] = []

  private constructor(script: Script) {
    const replies = new Replies(createCounter('characters'))
    this.#server = new FakeModelServer({
      director: {
        direct: ({ number, request, headers, path }) => {
          this.calls.push({ request, headers, path })
          for (const { count, resolve } of this.#waiting) if (number >= count) resolve()
          return script(request, number)
        },
      },
      replies: () => replies,
      exchange: () => ({ servedSuffix: '-served', cachedTokens: 7 }),
    })
  }

  static async start(script: Script = () => ({ kind: 'ok' })): Promise<FakeProvider> {
    const provider = new FakeProvider(script)
    await provider.#server.listen()
    return provider
  }

  /** Base URL for a client. */
  get url(): string {
    return this.#server.url
  }

  /** The most calls that were open at one time. */
  get maxOpen(): number {
    return this.#server.counts.maxOpen
  }

  /** Resolves once so many calls have arrived. */
  async arrived(count: number): Promise<void> {
    if (this.calls.length >= count) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.push({ count, resolve })
    await promise
  }

  /** Ends everything, the hanging calls too. */
  close(): Promise<void> {
    return this.#server.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
