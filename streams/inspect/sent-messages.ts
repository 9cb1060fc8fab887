import { createTokenizer } from '../../operators/gpt-tokenizer.ts'
import type { ChatMessage } from '../../operators/model.ts'
import { Prompt } from '../../operators/prompt.ts'
import { correct } from '../../operators/reply.ts'
import type { FoundDocument } from '../../operators/search.ts'
import { SituError } from '../../schemas/errors.ts'
import type { Attempt, Provenance } from '../../schemas/records.ts'
import { nounOfTopic, stages } from '../chain/topology.ts'
import { hashMessages } from '../message-text.ts'
import type { Pipeline } from '../pipeline.ts'
import { documentTopic } from '../searches/full-text.ts'
import { readSnapshot } from '../snapshots/demonstrations.ts'
import { readAt } from './lineage.ts'

export interface SentMessages {
  messages: ChatMessage[]
  /** Whether their hash is that of what was sent; null where nothing was answered. */
  matches: boolean | null
}

/** What is needed of a stage's configuration, as StageBinding writes it. */
interface Configured {
  options: Record<string, unknown>
  limits: { contextTokens: number; replyTokens: number }
}

/**
 * Makes the messages of a model-made record again, from the texts that its provenance names by hash, and compares them
 * with the hash of what was sent.
 *
 * @throws {SituError} DATA_UNREADABLE where a text, a document that was shown or the input is no longer there.
 */
export async function sentMessages(pipeline: Pipeline, provenance: Provenance): Promise<SentMessages> {
  const stage = stages.find(stage => stage.name === provenance.operator)
  if (!stage?.operator.messages && !stage?.operator.unprompted) {
    throw new SituError('DATA_UNREADABLE', `${provenance.operator} is no operator that asks a model here`)
  }
  const { operator } = stage
  const input = await readAt(pipeline, provenance.input)
  if (!input) throw new SituError('DATA_UNREADABLE', `input ${provenance.input.id} is no longer in ${stage.input}`)
  const record = await pipeline.serde.decode(nounOfTopic(provenance.input.topic), input.value)
  const configured = JSON.parse(await readText(pipeline, provenance.configuration)) as Configured
  const pool = provenance.snapshot ? (await readSnapshot(pipeline, provenance.snapshot)).demonstrations : []
  const demonstrations = provenance.demonstrations.flatMap(
    id => pool.find(demonstration => demonstration.id === id) ?? [],
  )
  const found = operator.search ? await readFound(pipeline, provenance.demonstrations) : []
  const tokenizer = createTokenizer()
  const { options, limits } = configured
  const contextTokens = answeredOf(provenance.attempts).at(-1)?.contextTokens ?? limits.contextTokens
  const model = { ...limits, contextTokens }
  const material = { options, tokenizer, found, model }
  const text = provenance.prompt === null ? null : await readText(pipeline, provenance.prompt)
  const prompt = text === null ? null : new Prompt(stage.name, text, operator.prompt?.fields ?? [])
  const first = prompt
    ? operator.messages?.(record, { ...material, prompt, demonstrations })
    : operator.unprompted?.(record, material)
  const messages = lastAnswered(first ?? [], provenance.attempts)
  const matches = provenance.messages === null ? null : hashMessages(messages) === provenance.messages
  return { messages, matches }
}

/** The attempts up to the last one that was answered; all of them where none was. */
function answeredOf(attempts: readonly Attempt[]): readonly Attempt[] {
  const answered = attempts.findLastIndex(({ finishReason }) => finishReason !== null)
  return answered < 0 ? attempts : attempts.slice(0, answered + 1)
}

/**
 * The messages of the last call that was answered: the first ones with the corrective turns that led to it. A call that
 * failed, or whose reply was cut at its limit, is made again with the same messages.
 */
function lastAnswered(first: ChatMessage[], attempts: readonly Attempt[]): ChatMessage[] {
  let messages = first
  let before: Attempt | undefined
  for (const attempt of answeredOf(attempts)) {
    const { changed } = attempt
    if (changed === null) messages = first
    else if (before?.rejectedReply != null && before.changed !== changed) {
      const code = before.code === 'MODEL_REPLY_CUT' ? before.code : 'MODEL_REPLY_INVALID'
      messages = correct(messages, { code, rejectedReply: before.rejectedReply, changed })
    }
    before = attempt
  }
  return messages
}

/** The documents that a search had found. Pages of the web are not kept, but for the one that was taken. */
async function readFound(pipeline: Pipeline, ids: readonly string[]): Promise<FoundDocument[]> {
  const topic = await documentTopic(pipeline)
  const read = async (id: string) => {
    const message = await pipeline.transport.get(topic, id)
    if (!message) throw new SituError('DATA_UNREADABLE', `document ${id}, which was shown, is not in ${topic}`)
    return { ...(await pipeline.serde.decode(nounOfTopic(topic) as 'document', message.value)), relevance: 0 }
  }
  return Promise.all(ids.map(read))
}

async function readText({ transport, serde }: Pipeline, id: string): Promise<string> {
  const message = await transport.get('prompt', id)
  if (!message) throw new SituError('DATA_UNREADABLE', `text ${id} is no longer in the topic prompt`)
  return (await serde.decode('prompt', message.value)).text
}
