import type { Stage } from '../../../streams/chain/topology.ts'
import { StageBinding } from '../../../streams/task/stage-binding.ts'
import { toDocument, toyStage } from '../../support/pipeline.ts'

/** A stage that passes articles on as documents; each name is a variant, with a topic and tasks of its own. */
export function noopStage(name: string): Stage {
  return { ...toyStage(article => [toDocument(article)]), variant: name, output: `document.${name}` }
}

/** Id of the task that works a partition. */
export function noopTask(name: string, partition: number): string {
  const stage = noopStage(name)
  return `${stage.variant}-${stage.name}-${partition}`
}

export function noopBinding(name: string): StageBinding {
  return new StageBinding(noopStage(name), {}, { prompt: null, model: null, snapshot: null })
}
