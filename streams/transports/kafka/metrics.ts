/** What an operator of workers watches; counts since the transport was opened, times in milliseconds since 1970. */
export class KafkaMetrics {
  /** Transactions of tasks that were committed. */
  commits = 0
  /** Assignments received. */
  rebalances = 0
  /** Times that a member was forgotten by its group, or could not reach it, and joined anew. */
  restarts = 0
  /** Tasks that other workers have taken over. */
  tasksLost = 0
  /** Commits that were made again after an error. */
  commitRetries = 0
  lastFetch: number | null = null
  lastCommit: number | null = null
  lastHeartbeat: number | null = null
}
