export type { RetentionOptions } from './retention.ts'
export { type EmbeddedOptions, EmbeddedTransport, openEmbedded } from './transport.ts'
