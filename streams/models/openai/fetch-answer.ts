import { Agent, EnvHttpProxyAgent, interceptors, request } from 'undici'

/** A chat completion has a few hundred kilobytes at most; an endpoint that sends more than this is broken. */
const maxResponseBytes = 32 * 1024 * 1024
const maxRedirections = 3

/**
 * Connections are kept and shared by all endpoints. The time of a call is the caller's business: the client's own
 * limits of 300 s are off. Node's `fetch` costs three times as much a call.
 */
const limits = { headersTimeout: 0, bodyTimeout: 0 }
// As Node's own clients: proxies of the environment only where that is asked for.
const agent = process.env.NODE_USE_ENV_PROXY === '1' ? new EnvHttpProxyAgent(limits) : new Agent(limits)
const dispatcher = agent.compose(interceptors.redirect({ maxRedirections }))

type Body = Awaited<ReturnType<typeof request>>['body']

/** Headers of an answer, by name in lower case. */
export interface AnswerHeaders {
  get(name: string): string | null
}

export interface Answer {
  status: number
  headers: AnswerHeaders
  text: string
  /** What ended the body where that was not its end; null where it is whole. */
  error: unknown
}

const answers = new WeakMap<Response, Answer>()

/**
 * The client's `fetch`: sends the request and reads the answer to its end, whatever it says. Rejects where no answer
 * began.
 *
 * The client keeps only a part of a refusal, and nothing of an answer that was cut: so what came is kept beside the
 * response, and the response itself is an empty one.
 */
export async function fetchAnswer(url: string | URL | Request, init: RequestInit = {}): Promise<Response> {
  const { method = 'POST', body, signal } = init
  const options = { method, headers: Object.fromEntries(new Headers(init.headers)), signal: signal ?? null, dispatcher }
  const answer = await request(String(url), { ...options, body: body as Buffer })
  const get = (name: string) => {
    const value = answer.headers[name]
    return (Array.isArray(value) ? value.join(', ') : value) ?? null
  }
  const response = new Response(null)
  answers.set(response, { status: answer.statusCode, headers: { get }, ...(await readBody(answer.body)) })
  return response
}

/** What came for a response of `fetchAnswer`. */
export function answerOf(response: Response): Answer {
  const answer = answers.get(response)
  if (!answer) throw new Error('no response of fetchAnswer')
  return answer
}

function readBody(body: Body): Promise<Pick<Answer, 'text' | 'error'>> {
  return new Promise(resolve => {
    const chunks: Uint8Array[] = []
    let bytes = 0
    const end = (error: unknown) => resolve({ text: Buffer.concat(chunks).toString('utf8'), error })
    body.on('data', (chunk: Uint8Array) => {
      chunks.push(chunk)
      bytes += chunk.byteLength
      if (bytes > maxResponseBytes) body.destroy(new RangeError(`the answer has more than ${maxResponseBytes} bytes`))
    })
    body.once('end', () => end(null))
    body.once('error', end)
    body.once('close', () => end(new Error('the answer has no end')))
  })
}
