/** A member of a group, as it describes itself when it joins. */
export interface Member {
  id: string
  /** Ids of the tasks that it would take, by stage. */
  wanted: ReadonlyMap<string, string>
  /** Ids of the tasks that it has now, with the epoch at which it took them. */
  owned: ReadonlyMap<string, number>
}

/** Member ids by task id. */
export type Assignment = ReadonlyMap<string, string>

/**
 * Gives each task to one member that wants it. Owners keep their tasks, as far as the numbers of tasks of two members
 * do not differ by two or more: first for each stage, then in all.
 */
export function assignTasks(members: readonly Member[]): Assignment {
  const load = new Load(members)
  const stageOf = new Map(members.flatMap(({ wanted }) => [...wanted]))
  const tasks = [...stageOf.keys()].sort()
  for (const task of tasks) {
    const owner = newestOwner(members, task)
    if (owner) load.give(task, stageOf.get(task) ?? '', owner)
  }
  for (const task of tasks) {
    const stage = stageOf.get(task) ?? ''
    const taker = load.ownerOf(task)
      ? null
      : load.leastLoaded(
          members.filter(({ wanted }) => wanted.has(task)),
          stage,
        )
    if (taker) load.give(task, stage, taker)
  }
  for (const task of tasks) load.balance(task, stageOf.get(task) ?? '', members, 'stage')
  for (const task of tasks) load.balance(task, stageOf.get(task) ?? '', members, 'all')
  return load.assignment
}

/** Two may believe that they have it: the one that was silent took it earlier. */
function newestOwner(members: readonly Member[], task: string): Member | null {
  const owners = members.filter(({ wanted, owned }) => wanted.has(task) && owned.has(task))
  return owners.reduce<Member | null>(
    (newest, member) => ((newest?.owned.get(task) ?? -1) < (member.owned.get(task) ?? 0) ? member : newest),
    null,
  )
}

/** How many tasks each member has so far. */
class Load {
  readonly assignment = new Map<string, string>()
  readonly #counts = new Map<string, number>()
  readonly #order: Map<string, number>

  constructor(members: readonly Member[]) {
    const ids = members.map(({ id }) => id).sort()
    this.#order = new Map(ids.map((id, index) => [id, index]))
  }

  ownerOf(task: string): string | undefined {
    return this.assignment.get(task)
  }

  give(task: string, stage: string, { id }: { id: string }): void {
    const former = this.assignment.get(task)
    if (former !== undefined) this.#add(former, stage, -1)
    this.assignment.set(task, id)
    this.#add(id, stage, 1)
  }

  leastLoaded(members: readonly Member[], stage: string): Member | null {
    const [least] = [...members].sort(
      (left, right) =>
        this.#count(left.id, stage) - this.#count(right.id, stage) ||
        this.#count(left.id) - this.#count(right.id) ||
        (this.#order.get(left.id) ?? 0) - (this.#order.get(right.id) ?? 0),
    )
    return least ?? null
  }

  /** Moves a task to the least loaded member that wants it, where its owner has two more. */
  balance(task: string, stage: string, members: readonly Member[], by: 'stage' | 'all'): void {
    const owner = this.assignment.get(task)
    if (owner === undefined) return
    const takers = members.filter(({ id, wanted }) => id !== owner && wanted.has(task))
    const other = by === 'stage' ? this.leastLoaded(takers, stage) : this.#leastInAll(takers, stage)
    if (!other) return
    const [mine, theirs] = [this.#count(owner, stage), this.#count(other.id, stage)]
    const isMoved =
      by === 'stage' ? mine - theirs >= 2 : mine > theirs && this.#count(owner) - this.#count(other.id) >= 2
    if (isMoved) this.give(task, stage, other)
  }

  #leastInAll(members: readonly Member[], stage: string): Member | null {
    const fewest = Math.min(...members.map(({ id }) => this.#count(id)))
    return this.leastLoaded(
      members.filter(({ id }) => this.#count(id) === fewest),
      stage,
    )
  }

  #count(member: string, stage = ''): number {
    return this.#counts.get(`${member}\n${stage}`) ?? 0
  }

  #add(member: string, stage: string, number: number): void {
    for (const name of [stage, '']) this.#counts.set(`${member}\n${name}`, this.#count(member, name) + number)
  }
}
