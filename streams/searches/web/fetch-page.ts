import { Agent, buildConnector, type Dispatcher, request } from 'undici'
import { type AddressRule, checkHost, ForbiddenAddress, isPublicAddress, lookupOf } from './public-address.ts'

export interface PageLimits {
  /** For the whole page, redirections and body included. */
  timeoutMs: number
  /** Of the body; a page of more is left out. */
  maxBytes: number
  /** Where pages may lie; left out: on the public internet alone. No configuration and no result changes it. */
  isAllowed?: AddressRule
}

/** A page as it came. */
export interface FetchedPage {
  /** Where it lay, behind all redirections. */
  url: string
  bytes: Buffer
  format: 'html' | 'text' | 'markdown'
  /** As the server told it. */
  charset: string | undefined
}

/** The page was reached and is not wanted: no further try would change that. */
export class UnwantedPage extends Error {
  override readonly name = 'UnwantedPage'
}

const maxRedirections = 5
const redirects = new Set([301, 302, 303, 307, 308])
const formats: Readonly<Record<string, FetchedPage['format']>> = {
  'text/html': 'html',
  'application/xhtml+xml': 'html',
  'text/plain': 'text',
  'text/markdown': 'markdown',
}

/** Fetches pages that strangers name. */
export class PageFetcher {
  readonly #limits: Required<PageLimits>
  readonly #agent: Agent

  constructor({ timeoutMs, maxBytes, isAllowed = isPublicAddress }: PageLimits) {
    this.#limits = { timeoutMs, maxBytes, isAllowed }
    this.#agent = new Agent({ connect: connectorOf(isAllowed, timeoutMs), headersTimeout: 0, bodyTimeout: 0 })
  }

  /**
   * @throws {UnwantedPage} It is no text, too large, or gone. @throws {ForbiddenAddress}
   * @throws {Error} It could not be reached in time.
   */
  async fetch(address: string, outer: AbortSignal): Promise<FetchedPage> {
    const signal = AbortSignal.any([outer, AbortSignal.timeout(this.#limits.timeoutMs)])
    let url = this.#check(address)
    for (let count = 0; ; count++) {
      const { statusCode, headers, body } = await request(url, {
        dispatcher: this.#agent,
        signal,
        headers: {
          accept: 'text/html, application/xhtml+xml, text/plain, text/markdown',
          'accept-encoding': 'identity',
        },
      })
      if (redirects.has(statusCode)) {
        await discard(body)
        if (count === maxRedirections) throw new UnwantedPage(`${address}: more than ${maxRedirections} redirections`)
        url = this.#check(new URL(one(headers.location), url).href)
        continue
      }
      const type = typeOf(one(headers['content-type']))
      if (statusCode !== 200 || !type || one(headers['content-encoding']) !== '') {
        await discard(body)
        throw failure(address, statusCode, one(headers['content-type']))
      }
      return { url: url.href, bytes: await this.#read(body, address), ...type }
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  #check(address: string): URL {
    const url = URL.parse(address)
    if (!url || !/^https?:$/.test(url.protocol))
      throw new UnwantedPage(`${address.slice(0, 200)}: no address of the web`)
    if (url.username || url.password) throw new UnwantedPage(`${url.host}: the address holds a user`)
    checkHost(url.hostname, this.#limits.isAllowed)
    return url
  }

  async #read(body: Dispatcher.ResponseData['body'], address: string): Promise<Buffer> {
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length
      // Leaving the loop ends the body and its connection.
      if (bytes > this.#limits.maxBytes) throw new UnwantedPage(`${address}: more than ${this.#limits.maxBytes} bytes`)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  }
}

/** Connects to allowed addresses alone, and looks once more at what it is connected to. */
function connectorOf(isAllowed: AddressRule, timeout: number): buildConnector.connector {
  const connect = buildConnector({ lookup: lookupOf(isAllowed), timeout })
  return (options, callback) => {
    try {
      checkHost(options.hostname, isAllowed)
    } catch (error) {
      return callback(error as Error, null)
    }
    connect(options, (...[error, socket]) => {
      if (error || !socket) return callback(error ?? new Error('no connection'), null)
      if (isAllowed(socket.remoteAddress ?? '')) return callback(null, socket)
      socket.destroy()
      callback(new ForbiddenAddress(`${options.hostname} lies at no public address`), null)
    })
  }
}

function failure(address: string, status: number, type: string): Error {
  const message = `${address}: status ${status}, content type ${type || 'not told'}`
  return status === 429 || status >= 500 ? new Error(message) : new UnwantedPage(message)
}

/** Reads no body that nobody wants. */
async function discard(body: Dispatcher.ResponseData['body']): Promise<void> {
  body.on('error', () => undefined)
  body.destroy()
}

function typeOf(header: string): Pick<FetchedPage, 'format' | 'charset'> | null {
  const [type = '', ...parameters] = header.split(';').map(part => part.trim())
  const format = Object.hasOwn(formats, type.toLowerCase()) ? formats[type.toLowerCase()] : undefined
  const charset = parameters.find(parameter => /^charset=/i.test(parameter))?.slice('charset='.length)
  return format ? { format, charset: charset?.replaceAll('"', '') } : null
}

function one(header: string | string[] | undefined): string {
  return (Array.isArray(header) ? header[0] : header) ?? ''
}
