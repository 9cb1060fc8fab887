import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { SituError } from '../../../schemas/errors.ts'
import { SearxngSearch } from '../../../streams/searches/searxng.ts'
import { type SearxngSettings, searchSettings } from '../../../streams/searches/settings.ts'

const servers: Server[] = []
const searches: SearxngSearch[] = []
const signal = new AbortController().signal

afterEach(async () => {
  await Promise.all(searches.splice(0).map(search => search.close()))
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  }
})

async function serve(listener: RequestListener, host = '127.0.0.1'): Promise<string> {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>(resolve => server.listen(0, host, resolve))
  return `http://${host}:${(server.address() as AddressInfo).port}`
}

const sentence = 'The ferry across the frozen river lay still for nine weeks while the ice was measured every morning. '
const page = `<html lang="en"><head><title>Ice</title></head><body><main><h1>Ice</h1><p>${sentence.repeat(8)}</p></main></body></html>`

/** An instance that gives these results, and what it was asked. */
async function instance(results: readonly unknown[]) {
  const asked: URL[] = []
  const baseUrl = await serve((request, response) => {
    asked.push(new URL(request.url ?? '', 'http://instance'))
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ query: 'q', results }))
  })
  return { asked, baseUrl }
}

function open(more: Partial<SearxngSettings> & { baseUrl: string }, isAllowed?: (address: string) => boolean) {
  const settings = searchSettings.parse({ kind: 'searxng', ...more }) as SearxngSettings
  const search = new SearxngSearch(settings, 'searxng', isAllowed)
  searches.push(search)
  return search
}

/** A search whose pages may lie on this machine. */
function openLocal(more: Partial<SearxngSettings> & { baseUrl: string }) {
  return open(more, address => address === '127.0.0.1')
}

async function failureOf(work: Promise<unknown>): Promise<SituError> {
  return work.then(
    () => expect.unreachable('nothing failed'),
    (error: SituError) => error,
  )
}

const html: RequestListener = (_request, response) => {
  response.setHeader('content-type', 'text/html; charset=utf-8').end(page)
}

describe('web search', () => {
  it('asks the instance and gives the main text of the first pages in its order', async () => {
    const pages = await serve((request, response) => {
      response.setHeader('content-type', 'text/html').end(page.replaceAll('Ice', `Ice ${request.url}`))
    })
    const results = ['/1', '/2', '/3'].map(path => ({ url: `${pages}${path}`, title: 'Other' }))
    const { asked, baseUrl } = await instance(results)
    const search = openLocal({ baseUrl: `${baseUrl}/`, engines: ['one', 'two'], language: 'en' })
    const found = await search.find(['frozen river', 'ferry'], { limit: 2, signal })
    expect(found.map(({ title, url, language }) => ({ title, url, language }))).toEqual([
      { title: 'Ice /1', url: `${pages}/1`, language: 'en' },
      { title: 'Ice /2', url: `${pages}/2`, language: 'en' },
    ])
    expect(found[0]?.text).toContain('lay still for nine weeks')
    expect(found[0]?.relevance).toBe(1)
    expect(Object.fromEntries(asked[0]?.searchParams ?? [])).toEqual({
      q: 'frozen river ferry',
      format: 'json',
      language: 'en',
      engines: 'one,two',
    })
  })

  it('makes plain words of what would be a command', async () => {
    const { asked, baseUrl } = await instance([])
    await openLocal({ baseUrl }).find(['!!g :de -secret', 'site:internal "C++" node.js', '<10 (x)'], {
      limit: 1,
      signal,
    })
    expect(asked[0]?.searchParams.get('q')).toBe('g de secret site internal C++ node.js 10 x')
  })

  it('asks nothing where there is no word', async () => {
    const { asked, baseUrl } = await instance([])
    expect(await openLocal({ baseUrl }).find(['!!', '""'], { limit: 1, signal })).toEqual([])
    expect(asked).toEqual([])
  })

  it('goes on to later results where pages are no text, too large, empty, gone, or of another scheme', async () => {
    const pages = await serve((request, response) => {
      const { url = '' } = request
      if (url === '/pdf') response.setHeader('content-type', 'application/pdf').end('%PDF')
      else if (url === '/none') response.setHeader('content-type', '').end(page)
      else if (url === '/gone') response.writeHead(404, { 'content-type': 'text/html' }).end(page)
      else if (url === '/packed')
        response.writeHead(200, { 'content-type': 'text/html', 'content-encoding': 'gzip' }).end('x')
      else if (url === '/empty') response.setHeader('content-type', 'text/html').end('<html><body></body></html>')
      else if (url === '/loop') response.writeHead(302, { location: '/loop' }).end()
      else html(request, response)
    })
    const paths = ['/pdf', '/none', '/gone', '/packed', '/empty', '/loop']
    const odd = [{ url: 'file:///etc/passwd' }, { url: 'ftp://example.org/' }, { url: 5 }, 'no result', { url: '::' }]
    const { baseUrl } = await instance([
      ...odd,
      ...paths.map(path => ({ url: `${pages}${path}` })),
      { url: `${pages}/good` },
    ])
    const found = await openLocal({ baseUrl }).find(['ferry'], { limit: 4, signal })
    expect(found.map(({ url }) => url)).toEqual([`${pages}/good`])
  })

  it('ends a page that never ends at the limit of bytes, and one that never begins at that of time', async () => {
    const written = { chunks: 0, closed: false }
    const pages = await serve((request, response) => {
      if (request.url === '/slow') return
      response.setHeader('content-type', 'text/html')
      const write = () => {
        written.chunks++
        if (response.write('x'.repeat(16_384))) setImmediate(write)
        else response.once('drain', write)
      }
      response.once('close', () => {
        written.closed = true
        response.write = () => false
      })
      write()
    })
    const { baseUrl } = await instance([{ url: `${pages}/huge` }, { url: `${pages}/slow` }])
    const search = openLocal({ baseUrl, maxPageBytes: 65_536, timeoutSeconds: 1 })
    expect(await search.find(['ferry'], { limit: 2, signal })).toEqual([])
    await expect.poll(() => written.closed).toBe(true)
  })

  it('reads the encoding that the server tells', async () => {
    const pages = await serve((_request, response) => {
      const german = page.replaceAll('ferry', 'Fähre')
      response.setHeader('content-type', 'text/html; charset="iso-8859-1"').end(Buffer.from(german, 'latin1'))
    })
    const { baseUrl } = await instance([{ url: pages }])
    const [found] = await openLocal({ baseUrl }).find(['Fähre'], { limit: 1, signal })
    expect(found?.text).toContain('The Fähre across')
    expect(found?.relevance).toBe(1)
  })

  it('follows redirections within the web', async () => {
    const pages = await serve((request, response) => {
      if (request.url === '/old') response.writeHead(301, { location: '/new#part' }).end('moved')
      else html(request, response)
    })
    const { baseUrl } = await instance([{ url: `${pages}/old` }])
    const [found] = await openLocal({ baseUrl }).find(['ferry'], { limit: 1, signal })
    expect(found?.title).toBe('Ice')
    expect(found?.url).toContain('/new')
  })

  it('fetches no page of this machine or its networks, while the instance may lie there', async () => {
    const fetched: (string | undefined)[] = []
    const pages = await serve((request, response) => {
      fetched.push(request.url)
      html(request, response)
    })
    const port = new URL(pages).port
    const hosts = [
      '127.0.0.1',
      'localhost',
      '127.1',
      '2130706433',
      '0x7f000001',
      '0.0.0.0',
      '[::1]',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
      '10.0.0.1',
      '169.254.169.254',
      '192.168.1.1',
      '[fe80::1]',
      '[fd00::1]',
    ]
    const { baseUrl } = await instance(hosts.map(host => ({ url: `http://${host}:${port}/secret` })))
    expect(await open({ baseUrl }).find(['ferry'], { limit: 10, signal })).toEqual([])
    expect(fetched).toEqual([])
  })

  it('follows no redirection to an address that it would not fetch', async () => {
    const secret: (string | undefined)[] = []
    // Another address of the loopback network stands for the public internet.
    const inner = await serve((request, response) => {
      secret.push(request.url)
      html(request, response)
    })
    const outer = await serve((_request, response) => {
      response.writeHead(302, { location: `${inner}/secret` }).end()
    }, '127.0.0.2')
    const { baseUrl } = await instance([{ url: `${outer}/` }])
    const found = await open({ baseUrl }, address => address === '127.0.0.2').find(['ferry'], { limit: 1, signal })
    expect(found).toEqual([])
    expect(secret).toEqual([])
  })

  it('is an error that may pass where no result page can be reached', async () => {
    const closed = await serve(html)
    servers.at(-1)?.close()
    const { baseUrl } = await instance([{ url: closed }])
    const failure = await failureOf(openLocal({ baseUrl }).find(['ferry'], { limit: 1, signal }))
    expect([failure.code, failure.retryable]).toEqual(['SEARCH_UNREACHABLE', true])
    expect(failure.message).toContain('none of 1 result pages')
  })

  it.each([
    [200, 'no json', 'SEARCH_RESPONSE_BROKEN'],
    [200, '{"results": 5}', 'SEARCH_RESPONSE_BROKEN'],
    [200, '{"results": [', 'SEARCH_RESPONSE_BROKEN'],
    [400, 'bad', 'SEARCH_RESPONSE_BROKEN'],
    [403, 'Forbidden', 'SEARCH_REFUSED'],
    [404, '', 'SEARCH_REFUSED'],
    [500, '', 'SEARCH_UNREACHABLE'],
  ])('tells status %i with %j by the code %s', async (status, body, code) => {
    const baseUrl = await serve((_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(body)
    })
    const failure = await failureOf(openLocal({ baseUrl }).find(['ferry'], { limit: 1, signal }))
    expect(failure.code).toBe(code)
    expect(failure.evidence?.content).toBe(body)
    expect(failure.message).toContain(baseUrl)
  })

  it('waits as long as a busy instance asks for', async () => {
    const baseUrl = await serve((_request, response) => {
      response.writeHead(429, { 'retry-after': '7' }).end()
    })
    const failure = await failureOf(openLocal({ baseUrl }).find(['ferry'], { limit: 1, signal }))
    expect([failure.code, failure.retryAfterMs]).toEqual(['SEARCH_UNREACHABLE', 7000])
  })

  it('tells an instance that does not answer, or not in time', async () => {
    const silent = await serve(() => undefined)
    const closed = await serve(html)
    servers.at(-1)?.close()
    for (const baseUrl of [silent, closed]) {
      const failure = await failureOf(openLocal({ baseUrl, timeoutSeconds: 1 }).find(['ferry'], { limit: 1, signal }))
      expect(failure.code).toBe('SEARCH_UNREACHABLE')
    }
  })

  it('ends where it is aborted', async () => {
    const abort = new AbortController()
    const pages = await serve(() => abort.abort(new Error('given up')))
    const { baseUrl } = await instance([{ url: pages }])
    const work = openLocal({ baseUrl }).find(['ferry'], { limit: 1, signal: abort.signal })
    await expect(work).rejects.toThrow('given up')
  })
})
