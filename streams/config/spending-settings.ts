import { z } from 'zod'
import type { BudgetLimits } from '../spending/budget.ts'
import type { OptionTable, OptionValues } from '../terminal/options.ts'

const whole = (what: string, unit: string) => z.int().min(1).optional().describe(what).meta({ unit })
const money = (what: string) => z.number().positive().optional().describe(what).meta({ unit: 'US dollars' })

/** Settings of what model calls may cost: a part of the settings in config.ts. */
export const spendingSettings = {
  maxUsd: money('End the run, with exit code 3, once its workers together have spent this.'),
  maxTokens: whole('The same for tokens, prompts and replies together.', 'tokens'),
  maxCalls: whole('The same for model calls.', 'calls'),
  maxUsdPerDay: money('The same for all runs of a day (UTC).'),
  maxTokensPerDay: whole('The same for all runs of a day (UTC).', 'tokens'),
  maxCallsPerDay: whole('The same for all runs of a day (UTC).', 'calls'),
  spending: z
    .string()
    .regex(/^rediss?:\/\//, 'expected redis://… or rediss://…')
    .optional()
    .describe(
      'Redis that holds paid replies, rates and sums for workers on several machines; default: the data folder.',
    ),
} satisfies OptionTable

export type SpendingSettings = OptionValues<typeof spendingSettings>

/** What every command that calls models takes. */
export const spendingSettingNames = Object.keys(spendingSettings) as (keyof typeof spendingSettings)[]

export function budgetLimits(settings: SpendingSettings): BudgetLimits {
  const limits = (usd: number | undefined, tokens: number | undefined, calls: number | undefined) => ({
    ...(usd !== undefined && { usd }),
    ...(tokens !== undefined && { tokens }),
    ...(calls !== undefined && { calls }),
  })
  return {
    run: limits(settings.maxUsd, settings.maxTokens, settings.maxCalls),
    day: limits(settings.maxUsdPerDay, settings.maxTokensPerDay, settings.maxCallsPerDay),
  }
}
