import type { Command } from '../terminal/command.ts'

/** The only list of commands; each is loaded when it is called. */
const commands: Record<string, () => Promise<{ command: Command }>> = {
  demo: () => import('./demo.ts'),
  ingest: () => import('./ingest.ts'),
  run: () => import('./run.ts'),
  estimate: () => import('./estimate.ts'),
  topics: () => import('./topics.ts'),
  tap: () => import('./tap.ts'),
  replay: () => import('./replay.ts'),
  variants: () => import('./variants.ts'),
  trace: () => import('./trace.ts'),
  failed: () => import('./failed.ts'),
  cache: () => import('./cache.ts'),
  export: () => import('./export.ts'),
  demonstrations: () => import('./demonstrations.ts'),
  recipes: () => import('./recipes.ts'),
  prompt: () => import('./prompt.ts'),
  schema: () => import('./schema.ts'),
  check: () => import('./check.ts'),
  'fake-model': () => import('./fake-model.ts'),
}

export const commandNames: readonly string[] = Object.keys(commands)

/** The command of this name; null where there is none. */
export async function loadCommand(name: string): Promise<Command | null> {
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined
  return load ? (await load()).command : null
}

export function allCommands(): Promise<Command[]> {
  return Promise.all(Object.values(commands).map(async load => (await load()).command))
}
