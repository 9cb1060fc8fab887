import type { Task } from '../../schemas/records.ts'
import { ingestStage, isIngest } from '../ingest/ingest-messages.ts'
import type { Pipeline } from '../pipeline.ts'
import type { Survey } from '../transports/transport.ts'
import { Counts } from './outcomes.ts'
import { surveyed, type TaskRecords } from './surveyed.ts'

/** Who wrote what stands at the beginning of the chain. */
export interface Ingested {
  /** Records by the ingest that wrote them. */
  byIngest: Counts
  /** Records that no part of Situ wrote. */
  foreign: number
}

export async function countIngested(
  pipeline: Pipeline,
  survey: Survey,
  topics: readonly string[],
  stop: AbortSignal,
): Promise<Ingested> {
  const byIngest = new Counts()
  let foreign = 0
  for (const topic of topics) {
    for await (const { parent } of surveyed(pipeline, survey, topic, stop)) {
      if (parent === null) foreign++
      else if (isIngest(parent)) byIngest.add(parent)
    }
  }
  return { byIngest, foreign }
}

/** What each ingest has written against what it has counted, one atomic step; it may go on meanwhile. */
export function compareIngests({ byIngest }: Ingested, tasks: TaskRecords): string[] {
  const doneBy = (records: readonly Task[]) =>
    new Map(records.filter(({ stage }) => stage === ingestStage).map(({ id, counters }) => [id, counters.done]))
  const [before, now] = [doneBy(tasks.atSurvey), doneBy(tasks.now)]
  return [...new Set([...now.keys(), ...byIngest.ids()])].flatMap(id => {
    const [least, most, found] = [before.get(id) ?? 0, now.get(id) ?? 0, byIngest.of(id)]
    return found < least || found > most
      ? [`${id}: done ${found < least ? least : most} counted, ${found} in the topics`]
      : []
  })
}
