import type { Excerpt } from './excerpt.ts'
import type { Random } from './random.ts'
import type { Writer } from './schema-walk.ts'

function phrases(text: string): string[] {
  return text.split(';').map(phrase => phrase.trim())
}

const people = phrases(`
  A shift supervisor; A night nurse; A second-year student; A retired teacher; A shop owner; A policy officer;
  A freelance editor; A volunteer treasurer; A field technician; A first-time buyer; A school librarian;
  A junior analyst; A community organiser; A laboratory assistant; A grandfather of three; A site manager;
  A museum guide; A small farmer; A data journalist; A tenant on a tight budget; An apprentice; A coach
`)
const places = phrases(`
  in a coastal town; at a family business; in a shared office; on a two-person team; at a regional charity;
  in the middle of a move; at an evening course; between two jobs; in a remote village; at a public agency;
  on parental leave; at a start-up; in the last week of a project; with a deadline on Friday
`)
const reasons = phrases(`
  has to explain to colleagues; must decide soon about; was asked to report on; is preparing a talk about;
  wants to check a claim about; is writing a guide to; has doubts about; needs a second opinion on;
  is comparing offers that turn on; has been put in charge of; is planning a lesson on; found a mistake in
`)
const aims = phrases(`
  to avoid a costly mistake; to convince a sceptical partner; to have one page that everybody understands;
  to choose between two ways forward; to find out what is missing; to turn it into a plan; to teach it next week;
  to know which numbers to trust; to answer a complaint fairly; to save time every month; to settle an argument
`)
const abilities = phrases(`
  Weighing evidence against a claim; Turning a description into steps; Finding gaps in an argument;
  Comparing options under limits; Explaining a hard point in plain words; Estimating with incomplete numbers;
  Telling causes from coincidences; Planning backwards from a deadline; Rewriting for another audience
`)
const outputs = phrases(`
  A table with one row for each option; A short memo with a recommendation; A checklist in the order of work;
  A worked example with every step shown; A list of questions to ask first; Two drafts in different tones;
  A plan for four weeks; A decision tree in plain text; A letter of one page; A lesson of forty minutes
`)
const openings = phrases(`
  I could use a hand with; Help me think through; I keep going back and forth on; Please look closely at;
  We are stuck on; My team argues about; Before I sign anything about; For a workshop next week I need to cover;
  Let me describe a problem with; Suppose you had to defend; I inherited some notes on; There is a question about;
  Someone sent me a passage on; I have one evening to understand; My reading group picked; Work with me on;
  I was told to rewrite; Our board wants a view on; I am testing an idea about; Be my sparring partner on
`)
const quoting = phrases(`
  This is what I have:; The passage reads:; Here is the part that matters:; My notes say:; I am going by this:;
  The relevant lines are:; All I know is this:; What I was given:; Copied word for word:; The source says:
`)
const tasks = [
  'Work out which of its statements depend on each other, and what falls if one of them is wrong',
  'Build the strongest case against it, then answer that case',
  'Turn it into a procedure that a newcomer could follow without asking',
  'Name three ways in which it could mislead a reader, and mend each',
  'Estimate what it would take to put it into practice, and say where the estimate is weakest',
  'Explain it to two people, one who knows the field and one who does not',
  'Design a small test that would show whether it holds',
  'Find the assumption that carries the most weight and replace it by a weaker one',
  'Sketch how it would look in ten years if nothing changes, and if one thing does',
  'Rank what it mentions by importance and justify the order',
  'Write the objections that a careful auditor would raise, with what would settle each',
  'Draw up a comparison of two ways to act on it, with costs on both sides',
  'Show what would have to be measured to decide it, and how',
  'Derive a rule of thumb from it and say when the rule breaks',
]
const demands = phrases(`
  Keep every figure as it stands.; Say plainly where the passage leaves something open.; Use no jargon.;
  Give a reason for each step.; Stay below four hundred words.; Mark guesses as guesses.; End with one next step.;
  Assume that I have two hours a week.; Take nothing from outside without saying so.;
  Point out what would change your mind.; Put the hardest part first.; Give one example with numbers.;
  Address it to a reader in a hurry.; Show two alternatives.; Mention who could be harmed.;
  Keep the names as they are written.
`)
const forms = phrases(`
  a table; numbered steps; a memo; a dialogue between two experts; a checklist; short paragraphs; a letter;
  an outline with headings; questions and answers; a plan by weeks
`)

/** Words of a text that may be its keywords. */
const mostKeywords = 8
/** Share of criteria that are met. */
const metShare = 0.9
/** What it takes for harm, since it understands nothing: `[flag:hate]`. */
const flag = /\[flag:([a-z0-9-]+)\]/g

type Writers = Readonly<Record<string, Writer>>

const situation: Writers = {
  user: (excerpt, random) =>
    `${random.pick(people)} ${random.pick(places)} who ${random.pick(reasons)} ${topic(excerpt, random)}.`,
  motivation: (excerpt, random) => `They want ${random.pick(aims)}, starting from "${excerpt.phrase(random)}".`,
  scene: (excerpt, random) =>
    `${random.pick(people)} ${random.pick(places)} ${random.pick(reasons)} ${topic(excerpt, random)} and wants ${random.pick(aims)}. ` +
    `On the desk lies a page that says: "${excerpt.phrase(random)}".`,
  ability: (excerpt, random) => `${random.pick(abilities)}, applied to ${topic(excerpt, random)}.`,
  knowledge: (excerpt, random) =>
    `Enough about ${topic(excerpt, random)} to judge the statement "${excerpt.phrase(random)}".`,
  extraInformation: (excerpt, random) =>
    `The user quotes the passage on ${topic(excerpt, random)}: "${excerpt.phrase(random)}".`,
  output: (excerpt, random) => `${random.pick(outputs)} on ${topic(excerpt, random)}.`,
}

const instruction: Writers = {
  thought: writeThought,
  instruction: writeInstruction,
}

/** What each reply schema of the operators asks for, by its name and by field; items of a list by that of the list. */
export const writers: Readonly<Record<string, Writers>> = {
  situation,
  instruction,
  written: { ...situation, ...instruction },
  scores: {
    analysis: (excerpt, random) =>
      `${random.pick(abilities)} is what ${topic(excerpt, random)} comes to: "${excerpt.phrase(random)}".`,
    score: (_excerpt, random) => (random.next() < metShare ? 1 : 0),
  },
  moderation: {
    reason: (excerpt, random) => `It is about ${topic(excerpt, random)}: "${excerpt.phrase(random)}".`,
    'categories[]': flagged,
  },
  // Asked for no schema: categories at random would be harm everywhere.
  'every-field': { 'categories[]': flagged },
  concept: {
    intention: (excerpt, random) => `Wants ${random.pick(aims)}, starting from "${excerpt.phrase(random)}".`,
    keywords: (excerpt, random) => random.pick(longest(excerpt.words)),
  },
  // The first one found: a rehearsal should go on.
  choice: {
    thought: writeThought,
    document: () => 1,
  },
  attribution: {
    ...situation,
    domain: (excerpt, random) => `field of ${random.pick(longest(excerpt.words)).toLowerCase()}`,
    thought: writeThought,
  },
}

function flagged({ document }: Excerpt): string[] {
  return [...document.matchAll(flag)].map(([, name = '']) => name)
}

/** Longer words say more of what a text is about. */
function longest(words: readonly string[]): string[] {
  const telling = words.filter(word => /[\p{L}\p{N}]/u.test(word))
  if (telling.length === 0) return ['this']
  return telling.toSorted((one, other) => other.length - one.length).slice(0, mostKeywords)
}

function writeThought(excerpt: Excerpt, random: Random): string {
  return `The reader needs the passage on ${topic(excerpt, random)} itself; the hard part is ${random.pick(abilities).toLowerCase()}.`
}

function topic(excerpt: Excerpt, random: Random): string {
  return random.pickSome(excerpt.words, 1 + random.integer(3)).join(' and ')
}

function writeInstruction(excerpt: Excerpt, random: Random): string {
  const opening = `${random.pick(openings)} ${topic(excerpt, random)}.`
  const quoted = `${random.pick(quoting)}\n\n"${excerpt.text || excerpt.words[0]}"`
  const task = `${random.pick(tasks)}. ${random.pickSome(demands, 1 + random.integer(3)).join(' ')}`
  const form = `I would like ${random.pick(forms)} about ${topic(excerpt, random)}.`
  const shapes = [
    [opening, quoted, task, form],
    [quoted, opening, task, form],
    [opening, task, quoted, form],
    [form, quoted, task],
    [opening, `${form} ${task}`, quoted],
    [task, form, quoted, opening],
  ]
  return (shapes[random.integer(shapes.length)] ?? []).join('\n\n')
}
