import { isOfRecord } from '../../schemas/errors.ts'
import type { Noun, Task } from '../../schemas/records.ts'
import type { Stage } from '../chain/topology.ts'
import { identify, isOpen } from '../identity.ts'
import type { Pipeline } from '../pipeline.ts'
import { Position } from '../task/position.ts'
import type { Message, Survey } from '../transports/transport.ts'
import type { InputState } from './outcomes.ts'

/** The task records of a survey, and those read after it, which show everything that its bounds hold. */
export interface TaskRecords {
  atSurvey: readonly Task[]
  now: readonly Task[]
}

/** The messages of a topic that were there at the survey. */
export async function* surveyed({ transport }: Pipeline, survey: Survey, topic: string, signal: AbortSignal) {
  for (const { partition, start, end } of survey.bounds.filter(bounds => bounds.topic === topic)) {
    if (start >= end) continue
    yield* upTo(transport.read(topic, partition, start, { signal }), end)
  }
}

async function* upTo(batches: AsyncIterable<{ messages: Message[]; next: number }>, end: number) {
  for await (const { messages, next } of batches) {
    for (const message of messages) if (message.offset < end) yield message
    if (next >= end) return
  }
}

/** The id that a stage gives its input: the key of what Situ wrote, and made from the content of what others did. */
async function idOf({ serde }: Pipeline, noun: Noun, { key, value, parent }: Message): Promise<string> {
  if (parent !== null || !isOpen(noun)) return key ?? ''
  try {
    return identify(noun, await serde.decode(noun, value)).id
  } catch (error) {
    if (isOfRecord(error)) return key ?? ''
    throw error
  }
}

type Spot = Pick<Message, 'topic' | 'partition' | 'offset'>

/** How far the tasks of a stage had come. */
class Progress {
  readonly #positions = new Map<string, Position>()

  constructor({ name, variant }: Stage, tasks: readonly Task[]) {
    for (const { stage, variant: own, partition, positions } of tasks) {
      if (stage !== name || own !== variant) continue
      for (const stored of positions) {
        this.#positions.set(`${stored.topic}/${partition}`, new Position(stored.topic, stored))
      }
    }
  }

  hasPassed({ topic, partition, offset }: Spot): boolean {
    const position = this.#positions.get(`${topic}/${partition}`)
    return position !== undefined && (offset < position.next || position.wasFinished(offset))
  }
}

/** The inputs of a stage, each with where it stood at the survey and stands now. */
export class StageInputs {
  readonly #pipeline: Pipeline
  readonly #survey: Survey
  readonly #stage: Stage
  readonly #atSurvey: Progress
  readonly #now: Progress
  /** Where the inputs lie that were sent on to another task, by their own place. */
  readonly #sent = new Map<string, Spot>()
  sentTwice = 0

  constructor(pipeline: Pipeline, survey: Survey, stage: Stage, tasks: TaskRecords) {
    this.#pipeline = pipeline
    this.#survey = survey
    this.#stage = stage
    this.#atSurvey = new Progress(stage, tasks.atSurvey)
    this.#now = new Progress(stage, tasks.now)
  }

  async *read(signal: AbortSignal): AsyncGenerator<{ id: string; state: InputState }> {
    const { input, from, until, operator } = this.#stage
    await this.#readSent(signal)
    for (const { topic, partition, end } of this.#survey.bounds) {
      if (topic !== input) continue
      const last = until?.[partition] ?? Number.POSITIVE_INFINITY
      for await (const message of this.#all(topic, partition, signal)) {
        if (message.offset < (from?.[partition] ?? 0) || message.offset >= last) continue
        const id = await idOf(this.#pipeline, operator.from, message)
        yield { id, state: message.offset < end ? this.#stateOf(message) : 'after' }
      }
    }
  }

  /** Everything that is there by now: what became of a message after the survey must not look like made of nothing. */
  async *#all(topic: string, partition: number, signal: AbortSignal) {
    for await (const { messages } of this.#pipeline.transport.read(topic, partition, 0, { signal })) yield* messages
  }

  async #readSent(signal: AbortSignal): Promise<void> {
    const { routed } = this.#stage
    for (const { topic, partition } of this.#survey.bounds) {
      if (topic !== routed) continue
      for await (const message of this.#all(topic, partition, signal)) await this.#takeSent(message)
    }
  }

  async #takeSent(message: Message): Promise<void> {
    try {
      const { place } = await this.#pipeline.serde.decode('routed', message.value)
      if (this.#sent.has(keyOf(place))) this.sentTwice++
      this.#sent.set(keyOf(place), { topic: message.topic, partition: message.partition, offset: message.offset })
    } catch (error) {
      // What is no input there asks for nothing.
      if (!isOfRecord(error)) throw error
    }
  }

  #stateOf(message: Message): InputState {
    // One that was sent on is worked where it was sent to.
    const spot = this.#sent.get(keyOf(message)) ?? message
    if (this.#atSurvey.hasPassed(spot)) return 'worked'
    return this.#now.hasPassed(spot) ? 'later' : 'open'
  }
}

function keyOf({ topic, partition, offset }: Spot): string {
  return `${topic}/${partition}/${offset}`
}
