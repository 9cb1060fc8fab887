import { describe, expect, it } from 'vitest'
import { checkComplete } from '../../../operators/examine/complete.ts'

describe('checkComplete', () => {
  it.each([
    'Write a letter to [insert company] about the delay.',
    'Write a letter to {{company}} about the delay.',
    'Write a letter to <your company> about the delay.',
    'Write a letter of TODO words about the delay.',
    'Lorem ipsum dolor sit amet. Write a letter.',
    'TODO',
    'Write a letter about the delay, the damage and',
    'Write a letter about the delay, the damage,',
    'Write a letter about the delay (',
    'Correct this code:\n\n```js\nlet a = [1, 2',
    'Write a letter about the damage, and how large a dam',
    'Translate this: "The ferry leaves at nine, and it is',
    'Translate this: “The ferry leaves at nine.',
    'List all ports (harbours with a pier and',
    'Schreibe einen Brief über die Verspätung und über',
  ])('finds the gap or the end in the middle of %j', text => {
    expect(checkComplete(text, '')).toMatchObject({ ok: false, evidence: expect.any(String) })
  })

  it.each([
    'Write a letter about the delay',
    'Write a mail with the placeholders [name] and {{date}}.',
    'Build a TODO list in Rust.',
    'Is a screen of 27" large enough for two windows?',
    'Übersetze „Die Fähre fährt um neun.“ ins Dänische.',
    'Why do designers still use "Lorem ipsum dolor sit amet"?',
    'Explain `{{label}}` and `[name]` in this template engine.',
    'Improve this e-mail.\n\nHi [name],\n\nthe meeting is on Friday and there will be cake for all of us.\n\n[signature]',
    'See [the manual](https://example.org) and explain [1].',
    'Correct this code:\n\n```js\nlet a = [b]\n```',
    'Which numbers in \\([1, 8)\\) are prime?\nAnswer:',
    'Explain <div hidden> and <label for> to a beginner.',
  ])('finds nothing in %j', text => {
    expect(checkComplete(text, '')).toEqual({ ok: true, value: null, evidence: null })
  })

  it('tells a cut word by the words of the document', () => {
    const text = 'Work out when to begin and how long before the measu'
    expect(checkComplete(text, 'Sit still before you measure.').ok).toBe(false)
    expect(checkComplete(text, 'Sit still.').ok).toBe(true)
  })
})
