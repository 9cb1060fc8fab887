import { describe, expect, it } from 'vitest'
import { type Assignment, assignTasks, type Member } from '../../../../streams/transports/kafka/sticky-assigner.ts'

const stages = ['extract', 'situate', 'instruct']
const tasks = new Map(stages.flatMap(stage => Array.from({ length: 12 }, (_, index) => [`${stage}-${index}`, stage])))

function member(id: string, before: Assignment = new Map(), epoch = 1): Member {
  const own = [...before].filter(([, owner]) => owner === id)
  return { id, wanted: tasks, owned: new Map(own.map(([task]) => [task, epoch])) }
}

function counts(assignment: Assignment, of = (task: string) => task !== ''): number[] {
  const owners = [...assignment].filter(([task]) => of(task)).map(([, owner]) => owner)
  return [...Map.groupBy(owners, owner => owner).values()].map(group => group.length)
}

function moved(before: Assignment, after: Assignment): string[] {
  return [...after].filter(([task, owner]) => before.has(task) && before.get(task) !== owner).map(([task]) => task)
}

describe('the assigner', () => {
  it('gives every task to one member that wants it, evenly in each stage', () => {
    const assignment = assignTasks(['a', 'b', 'c'].map(id => member(id)))
    expect([...assignment.keys()].sort()).toEqual([...tasks.keys()].sort())
    for (const stage of stages) expect(counts(assignment, task => task.startsWith(stage))).toEqual([4, 4, 4])
  })

  it('assigns the same again, whatever the order of the members', () => {
    const members = ['a', 'b', 'c', 'd'].map(id => member(id))
    expect(assignTasks(members.toReversed())).toEqual(assignTasks(members))
  })

  it('moves only the share of a new member, and only the tasks of one that has left', () => {
    let before = assignTasks([member('a')])
    let present = ['a']
    for (const change of ['+b', '+c', '-a', '+d', '+e', '-c', '-b', '+f']) {
      const id = change.slice(1)
      present = change.startsWith('+') ? [...present, id] : present.filter(other => other !== id)
      const after = assignTasks(present.map(name => member(name, before)))
      const kept = moved(before, after).filter(task => present.includes(before.get(task) ?? ''))
      const share = change.startsWith('+') ? tasks.size / present.length : 0
      expect(kept.length).toBeLessThanOrEqual(Math.ceil(share) + stages.length)
      expect(Math.max(...counts(after)) - Math.min(...counts(after))).toBeLessThanOrEqual(1)
      before = after
    }
  })

  it('leaves a task with its only owner where another has one less', () => {
    const before = new Map([['extract-0', 'a']])
    const only = (id: string) => ({ ...member(id, before), wanted: new Map([['extract-0', 'extract']]) })
    expect(assignTasks([only('a'), only('b')])).toEqual(before)
  })

  it('believes the newest of two who both claim a task', () => {
    const claim = (id: string, epoch: number): Member => ({
      id,
      wanted: new Map([['extract-0', 'extract']]),
      owned: new Map([['extract-0', epoch]]),
    })
    expect(assignTasks([claim('a', 3), claim('b', 4)]).get('extract-0')).toBe('b')
    expect(assignTasks([claim('a', 5), claim('b', 4)]).get('extract-0')).toBe('a')
  })

  it('gives nobody a task that nobody wants', () => {
    expect(assignTasks([{ id: 'a', wanted: new Map(), owned: new Map([['gone', 1]]) }])).toEqual(new Map())
  })

  it('assigns 2,000 tasks to 50 members within a second', () => {
    const many = new Map(Array.from({ length: 2000 }, (_, index) => [`task-${index}`, `stage-${index % 10}`]))
    const assignment = assignTasks(
      Array.from({ length: 50 }, (_, index) => ({ id: `m${index}`, wanted: many, owned: new Map() })),
    )
    expect(counts(assignment)).toEqual(Array.from({ length: 50 }, () => 40))
  })
})
