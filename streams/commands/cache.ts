import { z } from 'zod'
import { SituError } from '../../schemas/errors.ts'
import { spendingConnection } from '../config/config.ts'
import { hasSpendingStore, openSpendingStore } from '../spending/open-store.ts'
import type { CacheSummary, SpendingStore } from '../spending/store.ts'
import { closestName } from '../terminal/closest-name.ts'
import { type CommandContext, defineCommand } from '../terminal/command.ts'
import { confirm } from '../terminal/confirm.ts'
import { parseDuration } from '../terminal/duration.ts'

const verbs = ['show', 'clear'] as const

const empty: CacheSummary = {
  replies: 0,
  bytes: 0,
  rejected: 0,
  oldest: null,
  served: { times: 0, tokens: 0, usd: 0 },
}

export const command = defineCommand({
  name: 'cache',
  summary: 'shows what the cache of paid replies holds and has saved, or clears it',
  usage: '[show | clear [--older-than DURATION] [--yes]]',
  words: { min: 0, max: 1 },
  settings: ['spending', 'prefix'],
  options: {
    olderThan: z.string().optional().describe('Clear only what came longer ago: 30d, 12h, 45m.'),
    yes: z.boolean().default(false).describe('Clear without asking.'),
  },
  examples: ['situ cache', 'situ cache clear --older-than 30d', 'situ cache clear --yes --spending redis://cache:6379'],
  notes: [
    'What is cleared is paid again where a run needs it again. Rejected replies are the evidence of dead letters; they',
    'are never served. An operator works without the cache where its configuration says cache: false.',
  ],
  async run(context, { olderThan, yes }) {
    const [verb = 'show'] = context.words
    if (!(verbs as readonly string[]).includes(verb)) {
      throw new SituError('USAGE', `unknown word ${verb}${closestName(verb, verbs)}`)
    }
    if (verb === 'show' && olderThan !== undefined) throw new SituError('USAGE', '--older-than belongs to clear')
    const before =
      olderThan === undefined ? Number.MAX_SAFE_INTEGER : Date.now() - parseDuration('--older-than', olderThan)
    const connection = spendingConnection(context.config)
    if (!hasSpendingStore(connection)) return verb === 'show' ? show(context, empty) : tellCleared(context, 0)
    const store = await openSpendingStore({ ...connection, log: context.log, readOnly: verb === 'show' })
    try {
      if (verb === 'show') return await show(context, await store.cacheSummary())
      return await clear(context, store, before, olderThan, yes)
    } finally {
      await store.close()
    }
  },
})

async function show({ config, output }: CommandContext, summary: CacheSummary): Promise<number> {
  const { replies, bytes, rejected, oldest, served } = summary
  if (config.settings.json) {
    await output.json({ ...summary, oldest: oldest === null ? null : new Date(oldest).toISOString() })
    return 0
  }
  await output.line(`replies    ${count(replies)} (${megabytes(bytes)})`)
  await output.line(`rejected   ${count(rejected)}`)
  await output.line(`oldest     ${oldest === null ? '-' : new Date(oldest).toISOString()}`)
  const saved = `${count(served.tokens)} tokens, ${served.usd.toFixed(4)} US dollars where the price is known`
  await output.line(`saved      ${count(served.times)} calls: ${saved}`)
  return 0
}

async function clear(
  context: CommandContext,
  store: SpendingStore,
  before: number,
  olderThan: string | undefined,
  yes: boolean,
): Promise<number> {
  if (!yes) {
    const { replies, rejected } = await store.cacheSummary()
    const which = olderThan === undefined ? 'all' : `those older than ${olderThan}`
    const question = `Clear ${which} of ${count(replies + rejected)} paid replies?`
    if (!(await confirm('situ cache clear', question, context.stop))) {
      await context.output.line('nothing cleared')
      return 0
    }
  }
  return tellCleared(context, await store.clearReplies(before))
}

async function tellCleared({ config, output }: CommandContext, cleared: number): Promise<number> {
  if (config.settings.json) await output.json({ cleared })
  else await output.line(`${count(cleared)} ${cleared === 1 ? 'reply' : 'replies'} cleared`)
  return 0
}

function count(number: number): string {
  return number.toLocaleString('en-US')
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 0)} MB`
}
