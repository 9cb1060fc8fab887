/** The endpoint of the bench, in a process of its own: answers after a fixed time, reads no more of a call than it must. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What it has seen since it was last asked. Times are those of the system's clock, in ms. */
export interface Seen {
  calls: number
  firstCall: number
  lastReply: number
  requestBytes: number
  maxOpen: number
}

const sentence = 'The pump was replaced on Monday, but the pressure fell again by 0.4 bar within two days. '
const replies = {
  situation: {
    user: 'caretaker of a small waterworks who keeps the log by hand',
    motivation: 'The council meets on Thursday and wants to know whether a second pump has to be bought.',
    scene: sentence.repeat(4),
    ability: 'read a log, weigh causes against each other, plan a test that can be done in one day',
    knowledge: 'pumps, pressure loss in old pipes, how leaks show in a log',
    extraInformation: sentence.repeat(3),
    output: 'a plan for one day and a note of at most 200 words to the council',
  },
  instruction: { thought: sentence.repeat(2), instruction: sentence.repeat(8) },
}

function completionOf(reply: object): Buffer {
  const message = { role: 'assistant', content: JSON.stringify(reply), refusal: null }
  return Buffer.from(
    JSON.stringify({
      id: 'chatcmpl-bench',
      object: 'chat.completion',
      created: 1_700_000_000,
      model: 'bench',
      choices: [{ index: 0, message, finish_reason: 'stop' }],
      usage: { prompt_tokens: 7000, completion_tokens: 250, total_tokens: 7250 },
    }),
  )
}

const bodies = { situation: completionOf(replies.situation), instruction: completionOf(replies.instruction) }
const latencyMs = Number(process.argv[2] ?? 0)
let open = 0
let seen: Seen = nothing()

function nothing(): Seen {
  return { calls: 0, firstCall: 0, lastReply: 0, requestBytes: 0, maxOpen: 0 }
}

function serve(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const body = Buffer.concat(chunks)
    seen.maxOpen = Math.max(seen.maxOpen, ++open)
    seen.requestBytes += body.length
    if (seen.calls++ === 0) {
      seen.firstCall = Date.now()
      process.send?.('first')
    }
    const answer = body.includes('"name":"situation"') ? bodies.situation : bodies.instruction
    if (latencyMs > 0) setTimeout(() => reply(response, answer), latencyMs)
    else reply(response, answer)
  })
}

function reply(response: ServerResponse, body: Buffer): void {
  open--
  seen.lastReply = Date.now()
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body)
}

const server = createServer(serve)
server.keepAliveTimeout = 60_000
process.on('message', () => {
  process.send?.(seen)
  seen = nothing()
})
process.on('disconnect', () => process.exit())
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
