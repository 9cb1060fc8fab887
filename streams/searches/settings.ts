import { z } from 'zod'

/** What the configuration file says under `search`. */
export const searchSettings = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('full-text') }),
  z.strictObject({
    kind: z.literal('searxng'),
    baseUrl: z
      .url({ protocol: /^https?$/ })
      .refine(url => !/^https?:\/\/[^/]*@/i.test(url), 'user and password may not stand in it')
      .describe('Address of the instance; it may be a local one.'),
    engines: z
      .array(z.string().regex(/^[^,]+$/))
      .default([])
      .describe('Engines that are asked; none: those of the instance.'),
    language: z.string().min(1).default('all').describe('Language of the results, such as en.'),
    timeoutSeconds: z.int().min(1).max(600).default(20).describe('How long the query, and each page, may take.'),
    maxPageBytes: z.int().min(1_024).max(67_108_864).default(4_194_304).describe('Larger pages are left out.'),
  }),
])

export type SearchSettings = z.output<typeof searchSettings>

export type SearxngSettings = Extract<SearchSettings, { kind: 'searxng' }>
