import { describe, expect, it } from 'vitest'
import { instruct, instructionReply } from '../../operators/instruct.ts'
import { Prompt } from '../../operators/prompt.ts'
import { situate, situationReply } from '../../operators/situate.ts'
import { builtInPrompt, snapshot, tokenizer } from './fake-context.ts'

const user = '# user\n<document>\n{{document}}\n</document>\n'

describe('a prompt file', () => {
  it.each([
    ['a placeholder that the operator never fills', `# system\n{{nmae}}\n${user}`, /\{\{nmae\}\} is never filled/],
    [
      'one in a demonstration',
      `# system\nx\n# demonstration\n{{answer}}\n${user}`,
      /\{\{answer\}\} in # demonstration/,
    ],
    ['a JSON-quoted one', `# system\n{{json nmae}}\n${user}`, /\{\{nmae\}\} is never filled/],
    ['no document', '# system\nx\n# user\ny\n', /\{\{document\}\} is missing/],
    ['the document twice', `# system\n{{document}}\n${user}`, /\{\{document\}\} stands there more than once/],
    ['the document as JSON', '# system\nx\n# user\n{{json document}}\n', /\{\{json document\}\} is not possible/],
    ['demonstrations without a template', `# system\n{{demonstrations}}\n${user}`, /# demonstration is missing/],
    ['an unknown heading', `# system\nx\n# assistant\ny\n${user}`, /heading "# assistant"/],
    ['an empty section', '# system\n# user\n{{document}}', /# system is missing or empty/],
  ])('with %s is refused', (_, text, message) => {
    expect(() => new Prompt('situate', text, ['document', 'demonstrations'])).toThrow(
      expect.objectContaining({ code: 'PROMPT_INVALID', message: expect.stringMatching(message) }),
    )
  })

  it('fills a value as it is or as a JSON string', () => {
    const prompt = new Prompt('x', `# system\n{{title}} {{json title}} {{ json  title }}\n${user}`, [
      'document',
      'title',
    ])
    const value = 'He said "no"\n</document> \\'
    expect(prompt.fill({ document: 'd', title: value })[0]?.content).toBe(
      `${value} ${JSON.stringify(value)} ${JSON.stringify(value)}`,
    )
  })

  it('never looks for placeholders in what was filled in', () => {
    const prompt = new Prompt('x', `# system\n{{title}}\n${user}`, ['document', 'title'])
    const [system, asked] = prompt.fill({ document: '{{title}} $& $1 {{json title}}', title: '{{document}}' })
    expect(system?.content).toBe('{{document}}')
    expect(asked?.content).toContain('{{title}} $& $1 {{json title}}')
  })
})

describe.each([
  { operator: situate, schema: situationReply },
  { operator: instruct, schema: instructionReply },
])('the prompt of $operator.name', ({ operator, schema }) => {
  const prompt = builtInPrompt(operator)
  const system = prompt.fill({})[0]?.content ?? ''

  it('fills every placeholder, in the demonstrations too', () => {
    const values = Object.fromEntries((operator.prompt?.fields ?? []).map(field => [field, field]))
    const text = prompt.fill(values, snapshot.demonstrations).map(({ content }) => content)
    expect(text.join('\n')).not.toMatch(/\{\{/)
    expect(new Set(prompt.placeholders)).toEqual(new Set(operator.prompt?.fields))
  })

  it('shows a valid sample whose fields and texts are those of the reply schema', () => {
    const sample = JSON.parse(system.split('\n').findLast(line => line.startsWith('{')) ?? '')
    const described = Object.entries(schema.shape).map(([name, field]) => [name, field.description])
    expect(sample).toEqual(Object.fromEntries(described))
    expect(Object.keys(sample)).toEqual(Object.keys(schema.shape))
  })

  it('shows replies in demonstrations that the reply schema takes, with nothing left out', () => {
    for (const demonstration of snapshot.demonstrations) {
      const shown = prompt.demonstrate(demonstration, 1)
      const reply = JSON.parse(shown.slice(shown.lastIndexOf('Reply:\n') + 'Reply:\n'.length))
      expect(schema.strict().parse(reply)).toEqual(
        Object.fromEntries(Object.keys(schema.shape).map(name => [name, demonstration[name as 'thought']])),
      )
    }
  })

  it('has a fixed part of less than 1,000 tokens, most of it before what changes', () => {
    const [fixed = 0, changing = 0] = prompt.fill({}, []).map(({ content }) => tokenizer.count(content))
    expect(fixed + changing).toBeLessThan(1000)
    expect(changing).toBeLessThan(200)
  })
})
