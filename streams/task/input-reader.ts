import type { Stage } from '../chain/topology.ts'
import type { Clock } from '../clock.ts'
import type { ChangeSignal } from '../transports/change-signal.ts'
import type { Claim, Message } from '../transports/transport.ts'
import type { Asked, Intake } from './intake.ts'
import type { Position } from './position.ts'
import { Slots } from './slots.ts'
import type { TaskWorker } from './task-worker.ts'

/** Offsets between the oldest open record and the newest taken one, so that the finished set stays bounded. */
const windowOffsets = 10_000
/** Messages that are read at once. */
const readMessages = 100

export interface InputReaderPorts {
  stage: Stage
  claim: Claim
  clock: Clock
  intake: Intake
  /** Records that are worked at once. */
  concurrency: number
  /** Before inputs are taken: resolves once what they need is there, or when it is aborted. */
  ready?: ((signal: AbortSignal) => Promise<void>) | undefined
  /** Takes one input off the limit of the stage; false where it is used up. */
  admit: () => boolean
  /** Ends the reading. */
  signal: AbortSignal
  changed: ChangeSignal
}

/** Reads the topics of a task and starts the work of what they ask for, as far as there are slots and room for it. */
export class InputReader {
  readonly #ports: InputReaderPorts
  readonly #slots: Slots
  /** Topics whose inputs wait for other stages. */
  #held = 0
  /** No further input is taken: the limit is reached. */
  #limited = false
  /** The range of the stage is read to its end. */
  #ended = false
  #lastFetch: number | null = null

  constructor(ports: InputReaderPorts) {
    this.#ports = ports
    // With state one record is worked after the other.
    this.#slots = new Slots(ports.stage.state === null ? ports.concurrency : 1)
  }

  /** Whether inputs wait for other stages. */
  get isHeld(): boolean {
    return this.#held > 0
  }

  /** Ms since 1970. */
  get lastFetch(): number | null {
    return this.#lastFetch
  }

  /** Whether what waits in the topic is not to be taken. */
  isPastLimit(topic: string): boolean {
    return (this.#limited && topic !== 'retry') || (this.#ended && topic === this.#ports.stage.input)
  }

  /** Reads one topic of the task until its end, a limit or the signal. */
  async read(position: Position, worker: TaskWorker): Promise<void> {
    const { claim, clock, signal } = this.#ports
    const batches = claim.read(position.topic, position.readTo, { signal, maxMessages: readMessages })
    for await (const batch of batches) {
      this.#lastFetch = clock.now()
      await this.#untilReady()
      for (const message of batch.messages) {
        if (this.#isBehindEnd(position, message)) return
        if (!this.#admitAtOnce(position) && !(await this.#admit(position))) return
        const taken = this.#take(position, message, worker)
        if (!(typeof taken === 'boolean' ? taken : await taken)) return
      }
      position.pass(batch.next)
    }
  }

  async #untilReady(): Promise<void> {
    const { ready, signal } = this.#ports
    if (!ready) return
    this.#held++
    await ready(signal)
    this.#held--
  }

  /** Whether the message lies behind the range of the stage; its input then counts as read to the end. */
  #isBehindEnd(position: Position, { partition, offset }: Message): boolean {
    const { input, until } = this.#ports.stage
    const end = until?.[partition] ?? Number.POSITIVE_INFINITY
    if (position.topic !== input || offset < end) return false
    this.#ended = true
    // Control records may lie before the end, and would seem to wait for ever.
    position.pass(end)
    this.#ports.changed.raise()
    return true
  }

  /** Most records need no wait, and a wait costs more than the rest of their admission. */
  #admitAtOnce(position: Position): boolean {
    return !this.#ports.signal.aborted && position.window < windowOffsets && this.#slots.tryAcquire()
  }

  /** Waits for a slot and for room in the window. @returns False where no further record is to be taken. */
  async #admit(position: Position): Promise<boolean> {
    const { signal, changed } = this.#ports
    await this.#slots.acquire()
    while (position.window >= windowOffsets && !signal.aborted) await changed.wait(changed.count)
    if (!signal.aborted) return true
    this.#slots.release()
    return false
  }

  /** Starts the work of a message; the slot is given back at its end. @returns False at the limit of the stage. */
  #take(position: Position, message: Message, worker: TaskWorker): boolean | Promise<boolean> {
    if (position.wasFinished(message.offset)) return this.#pass(position, message)
    const asked = this.#ports.intake.read(message)
    if (!(asked instanceof Promise)) return this.#takeAsked(position, message, asked, worker)
    return asked.then(known => this.#takeAsked(position, message, known, worker))
  }

  #takeAsked(
    position: Position,
    message: Message,
    asked: Asked | null,
    worker: TaskWorker,
  ): boolean | Promise<boolean> {
    if (!asked) return this.#pass(position, message)
    const { offset } = message
    const release = () => this.#slots.release()
    if (asked.forward) {
      return worker.forward(position, offset, asked, asked.forward).then(() => {
        release()
        return true
      })
    }
    if (!asked.request && !this.#ports.admit()) {
      this.#limited = true
      release()
      return false
    }
    void worker.work(position, offset, asked).finally(release)
    return true
  }

  /** The message asks for nothing, or an earlier run has finished it. */
  #pass(position: Position, { offset }: Message): boolean {
    position.skip(offset)
    this.#slots.release()
    return true
  }
}
