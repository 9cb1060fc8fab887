import type { OperatorName } from '../../operators/index.ts'

/** A chain for a purpose: which optional operators are in it, and which options differ from their defaults. */
export interface Recipe {
  /** One line for the list. */
  summary: string
  /** What it is for, and what it costs, for who chooses. */
  about: string
  operators: readonly OperatorName[]
  options: { readonly [Name in OperatorName]?: Readonly<Record<string, unknown>> }
}

/** Options as published, or as the released code has them where the text gives no number. */
const asPublished = {
  demonstrations: 10,
  maxDocumentTokens: 4096,
  maxDemonstrationDocumentTokens: 700,
  maxPromptTokens: 7500,
}

const short = {
  demonstrations: 3,
  maxDocumentTokens: 1500,
  maxDemonstrationDocumentTokens: 350,
  maxPromptTokens: 3000,
}

/** Harm that no page makes an ordinary subject of. */
const grave = [
  'violent-crimes',
  'non-violent-crimes',
  'sex-related-crimes',
  'child-sexual-exploitation',
  'privacy',
  'indiscriminate-weapons',
  'hate',
  'suicide-self-harm',
  'sexual-content',
  'code-interpreter-abuse',
]

export const recipes = {
  paper: {
    summary: 'the method as published, parameters included',
    about:
      'Two calls for each document, with prompts of up to 7,500 tokens, and one to judge the instruction. Instructions ' +
      'of people (situ ingest --as real-instruction) become demonstrations, with up to four calls each; one of those ' +
      'that mean the same is kept, by the vectors of --embedder, for which the paper has a model.',
    operators: [
      'score',
      'dedupe-real',
      'embed-real',
      'dedupe-meaning',
      'score-real',
      'conceive',
      'retrieve',
      'attribute',
    ],
    options: {
      situate: asPublished,
      instruct: asPublished,
      score: { minimumScore: 3 },
      'score-real': { minimumScore: 7 },
    },
  },
  cheap: {
    summary: 'one call for each document, with a short prompt',
    about: 'Near-duplicate documents are dropped before a model sees them; prompts of up to 3,000 tokens.',
    operators: ['write', 'examine'],
    options: {
      'dedupe-document': { nearDuplicates: true },
      examine: { dropFor: ['refusal_or_meta', 'incomplete'] },
      write: short,
    },
  },
  careful: {
    summary: 'personal data masked, every instruction examined, moderated and judged',
    about:
      'Four calls for each document: situation, instruction, a look for harm, and a judgement. What goes to a model ' +
      'has no e-mail addresses, phone numbers, IP addresses, card numbers or IBANs in it; instructions that lean on a ' +
      'text which is not there, or have other faults, are dropped, as are those that may do harm. Advice, elections, ' +
      'copyright and defamation are labelled only: ordinary pages are about them.',
    operators: ['mask', 'examine', 'moderate', 'score'],
    options: {
      'dedupe-document': { nearDuplicates: true },
      situate: asPublished,
      instruct: asPublished,
      moderate: { dropFor: grave },
      score: { minimumScore: 5, require: ['specificity', 'problemSolving', 'technicalAccuracy'] },
      examine: {
        dropFor: ['not_self_contained', 'not_grounded', 'copied', 'refusal_or_meta', 'incomplete', 'wrong_length'],
      },
    },
  },
} as const satisfies Record<string, Recipe>

export type RecipeName = keyof typeof recipes

export const recipeNames = Object.keys(recipes) as [RecipeName, ...RecipeName[]]
