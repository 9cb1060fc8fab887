import type { ReplySchema } from '../../../operators/model.ts'

/** How a reply's shape is asked for, from the strictest to none. */
export const formats = ['json_schema', 'json_object', 'none'] as const
export type Format = (typeof formats)[number]

/** How long further calls wait for the first one: a refusal comes at once, an answer takes seconds. */
const probeMs = 500

const memories = new Map<string, FormatMemory>()

/** @param key - Address and model: two models of one server need not accept the same. */
export function formatMemoryOf(key: string, wanted: Format): FormatMemory {
  const memory = memories.get(`${key} ${wanted}`) ?? new FormatMemory(wanted)
  memories.set(`${key} ${wanted}`, memory)
  return memory
}

type IsRefusal = (error: unknown) => boolean

/** Remembers for this process what an endpoint accepts, and lets one call find it out. */
class FormatMemory {
  #format: Format
  #isKnown = false
  #probe: Promise<unknown> | null = null
  /** Schemas that an endpoint refused although it took another one in that format. */
  readonly #exceptions = new Map<string, Format>()

  constructor(wanted: Format) {
    this.#format = wanted
  }

  /**
   * Makes the call with what the endpoint accepts; where it refuses the format, again with the next one.
   *
   * @param isRefusal - Whether the error is about the format.
   */
  async use<T>(
    schemaName: string,
    signal: AbortSignal,
    call: (format: Format) => Promise<T>,
    isRefusal: IsRefusal,
  ): Promise<T> {
    if (this.#isKnown || this.#format === 'none') return this.#descend(schemaName, call, isRefusal)
    if (this.#probe) {
      await waitForProbe(this.#probe, signal)
      return this.#descend(schemaName, call, isRefusal)
    }
    const made = this.#descend(schemaName, call, isRefusal)
    this.#probe = made.then(
      () => {},
      () => {
        this.#probe = null
      },
    )
    return made
  }

  async #descend<T>(schemaName: string, call: (format: Format) => Promise<T>, isRefusal: IsRefusal): Promise<T> {
    for (let format = this.#exceptions.get(schemaName) ?? this.#format; ; format = this.#below(format)) {
      try {
        const result = await call(format)
        this.#accept(format, schemaName)
        return result
      } catch (error) {
        if (format === 'none' || !isRefusal(error)) throw error
      }
    }
  }

  /** The next lower format, or the still lower one that another call has found out meanwhile. */
  #below(format: Format): Format {
    const next = formats.indexOf(format) + 1
    return formats[Math.max(next, formats.indexOf(this.#format))] ?? 'none'
  }

  /** Only what was accepted is learnt: a refusal may have been about the request. */
  #accept(format: Format, schemaName: string): void {
    if (!this.#isKnown) this.#format = format
    else if (format !== this.#format) this.#exceptions.set(schemaName, format)
    this.#isKnown = true
  }
}

/** Waits until the first call is over, for the time that a refusal takes at most. */
async function waitForProbe(probe: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const abort = () => reject(signal.reason)
  const timer = setTimeout(resolve, probeMs)
  signal.addEventListener('abort', abort, { once: true })
  probe.then(() => resolve())
  try {
    signal.throwIfAborted()
    await promise
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}

export function responseFormat(format: Format, { name, schema }: ReplySchema): Record<string, unknown> {
  if (format === 'none') return {}
  if (format === 'json_object') return { response_format: { type: 'json_object' } }
  return { response_format: { type: 'json_schema', json_schema: { name, strict: true, schema } } }
}
