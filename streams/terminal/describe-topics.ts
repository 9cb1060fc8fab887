import type { TopicDifference } from '../transports/kafka/index.ts'

/** Topics that differ from the configuration, a line for each setting and value; those that are missing first. */
export function describeDifferences(differences: readonly TopicDifference[]): string[] {
  const groups = Map.groupBy(differences, ({ setting, wanted, found }) =>
    setting === 'exists' ? 'missing' : `${setting} is ${found || 'not set'}, configured is ${wanted}`,
  )
  return [...groups]
    .sort(([left], [right]) => Number(right === 'missing') - Number(left === 'missing'))
    .map(([what, group]) => `${what}: ${group.map(({ topic }) => topic).join(', ')}`)
}
