/** How often each id came. */
export class Counts {
  readonly #counts = new Map<string, number>()
  total = 0

  add(id: string): void {
    this.#counts.set(id, this.of(id) + 1)
    this.total++
  }

  of(id: string): number {
    return this.#counts.get(id) ?? 0
  }

  ids(): Iterable<string> {
    return this.#counts.keys()
  }

  get hasRepeats(): boolean {
    return this.total > this.#counts.size
  }
}

/**
 * Where an input stood when the log was surveyed: worked, or open. `later` are those that were open and have been
 * worked since, `after` those that came since: what became of them may be there, but no counter of the survey has it.
 */
export type InputState = 'worked' | 'open' | 'later' | 'after'

/** What one stage made of its inputs, read from the topics. A foreign producer may give the same input more than once. */
export class Outcomes {
  readonly inputs = new Counts()
  readonly outputs = new Counts()
  readonly dropped = new Counts()
  readonly failed = new Counts()
  /** Dead letters of inputs that could not be read: their ids are not known. */
  readonly unread = new Set<string>()
  /** Inputs without an outcome at the survey. */
  open = 0
  /** Inputs that were sent on more than once. */
  sentTwice = 0
  readonly #surveyed = new Counts()
  readonly #since = new Counts()

  addInput(id: string, state: InputState): void {
    if (state !== 'after') this.inputs.add(id)
    if (state === 'open' || state === 'later') this.open++
    const isSince = state === 'later' || state === 'after'
    ;(isSince ? this.#since : this.#surveyed).add(id)
  }

  /** Counts an outcome, unless it is one of an input that was worked since the survey. */
  add(kind: 'outputs' | 'dropped' | 'failed', input: string): void {
    if (this.#since.of(input) === 0 || this.#surveyed.of(input) > 0) this[kind].add(input)
  }

  /** Whether of an input that came more than once some were worked since the survey: whose outcome is whose can't be told. */
  get isMixed(): boolean {
    return [...this.#since.ids()].some(id => this.#surveyed.of(id) > 0)
  }

  /** Inputs with an output: of one that came n times, the times that were neither dropped nor failed. */
  get done(): number {
    let done = 0
    for (const parent of this.outputs.ids()) {
      done += Math.max(1, this.inputs.of(parent) - this.dropped.of(parent) - this.failed.of(parent))
    }
    return done
  }

  /** Outcomes of an input that is not there. */
  get strangers(): number {
    return [this.outputs, this.dropped, this.failed]
      .flatMap(kind => [...kind.ids()].map(parent => (this.inputs.of(parent) === 0 ? kind.of(parent) : 0)))
      .reduce((total, count) => total + count, 0)
  }

  /** Inputs with more outcomes than they came times. */
  get doubles(): number {
    const parents = new Set([...this.outputs.ids(), ...this.dropped.ids(), ...this.failed.ids()])
    return [...parents].filter(parent => {
      const outcomes = Math.min(1, this.outputs.of(parent)) + this.dropped.of(parent) + this.failed.of(parent)
      return outcomes > Math.max(1, this.inputs.of(parent))
    }).length
  }
}
