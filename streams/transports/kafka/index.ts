export type { KafkaMetrics } from './metrics.ts'
export type { KafkaOptions, TopicSettings } from './options.ts'
export type { TopicDifference } from './topic-admin.ts'
export { KafkaTransport, openKafka } from './transport.ts'
