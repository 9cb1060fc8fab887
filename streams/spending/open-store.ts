import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from '../log.ts'
import type { SpendingStore } from './store.ts'
import { SqliteSpendingStore } from './stores/sqlite.ts'
import { spendingLayout } from './stores/sqlite-layout.ts'

export interface SpendingConfig {
  /** Data folder, for the store of one machine. */
  data: string
  /** Address of Redis, for several machines. */
  spending?: string | undefined
  /** In place of the one in the address. */
  password?: string | undefined
  /** Those who share a Redis and this prefix share money. */
  prefix: string
  log?: Logger
  /** For commands that only look. Default false. */
  readOnly?: boolean
}

/**
 * Opens what the workers share about money: the file `spending.db` of the data folder, or Redis where one is named.
 *
 * @throws {SituError} DATA_* and DISK_FULL of the file; SPENDING_UNREACHABLE and SPENDING_REFUSED of Redis.
 */
export async function openSpendingStore(config: SpendingConfig): Promise<SpendingStore> {
  const { data, spending, readOnly = false } = config
  if (spending === undefined) return SqliteSpendingStore.open(data, { create: !readOnly, readOnly })
  // Its client is loaded only where it is used.
  const { RedisSpendingStore } = await import('./stores/redis.ts')
  return RedisSpendingStore.open({ url: spending, password: config.password, prefix: config.prefix, log: config.log })
}

/** Whether anything was ever kept; a Redis is taken to be there. */
export function hasSpendingStore({ data, spending }: Pick<SpendingConfig, 'data' | 'spending'>): boolean {
  return spending !== undefined || existsSync(join(data, spendingLayout.file))
}
