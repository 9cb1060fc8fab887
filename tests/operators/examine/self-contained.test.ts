import { describe, expect, it } from 'vitest'
import { checkSelfContained } from '../../../operators/examine/self-contained.ts'

const pasted = 'Buses in Marlow will be free on Sundays from June. The council expects 4,000 more passengers a week.'

describe('checkSelfContained', () => {
  it.each([
    'According to the passage, why do trees lose their leaves?',
    'Explain the three causes mentioned in the article.',
    'Use the table above to find the cheapest offer.',
    'What is the narrator’s opinion? Begin with what the author says about war.',
    'Have a look at Figure 2? See Figure 2 and explain the dip.',
    'Summarize this article in two lines.',
    'Shorten this to one page.',
    'Find words that rhyme with the given word.',
    'You are given a list of cities. Sort it by population.',
    'I have attached my thesis. Which chapter is weakest?',
    'Erkläre laut Text, warum Bäume ihr Laub verlieren.',
    'Selon le texte, pourquoi les arbres perdent-ils leurs feuilles ?',
    'Según el artículo, ¿por qué pierden las hojas?',
    'Secondo il testo, perché gli alberi perdono le foglie?',
    'Segundo o texto, porque perdem as árvores as folhas?',
    'Volgens de tekst verliezen bomen hun blad. Waarom?',
    'Enligt artikeln tappar träden sina löv. Varför?',
    'Według tekstu drzewa gubią liście. Dlaczego?',
    'Согласно тексту, деревья теряют листья. Почему?',
    '本文によると、木はなぜ葉を落とすのですか。',
    '根据上文，树木为什么落叶？',
    'Translate the following text into Danish:',
    'Answer the question about the text.\n\nText:',
  ])('finds the reference to what is not there in %j', text => {
    expect(checkSelfContained(text, false)).toMatchObject({ ok: false, evidence: expect.any(String) })
  })

  it.each([
    `Summarise the article below in one sentence.\n\n${pasted}`,
    `${pasted}\n\nWhich claims in the text above need a source?`,
    `According to the passage "${pasted}", who gains?`,
    `Translate the following sentence into Danish: The ferry leaves at nine.`,
    'Read the table and name the cheapest offer. Use the table above all.\n\n| offer | price |\n|---|---|\n| A | 4 |',
    'Make a list of things to do in the given city.\n\nParis',
    'Explain what is meant by a given name.',
    'Write an article on how the passage of the Suez Canal changed the price of tea.',
    'Compare article 6 and article 9 of the GDPR for a clinic.',
    'Explain why the figure skater spins faster when she pulls her arms in.',
    'Is noise from the flat above a reason to pay less rent?',
    'Add a label to the text field, and save the document when the user leaves it.',
    'Erkläre Artikel 3 des Grundgesetzes einer Schulklasse.',
    'Write a poem about rust, then translate it into Danish.',
  ])('finds nothing in %j', text => {
    expect(checkSelfContained(text, false)).toEqual({ ok: true, value: 0, evidence: null })
  })

  it('takes an excerpt of the document for the text that is meant, but for nothing that can not be held', () => {
    expect(checkSelfContained('According to the passage, buses will be free. Why?', true).ok).toBe(true)
    expect(checkSelfContained('Why does the attached report say that buses will be free?', true).ok).toBe(false)
  })

  it('does not take further requests for the text that is meant', () => {
    const text = 'Based on the article, write a letter to the council.\n\nKeep it below a page. Use no jargon.'
    expect(checkSelfContained(text, false)).toMatchObject({ ok: false, value: 1, evidence: 'Based on the article' })
  })

  const offers =
    'Kestrel Freight offers three packages. The Harbour package includes customs clearance and two pallets a month for ' +
    '480 euro. The Quay package adds storage for ten days.'

  it.each([
    "I ship two pallets a month. What does Kestrel Freight's Harbour package include, and is it worth it?",
    'What services are included in the Harbour package, and how do they benefit a small exporter?',
    'Explain the benefits of the packages offered by Kestrel Freight to a small business.',
  ])('finds that only the document tells what is asked about in %j', text => {
    expect(checkSelfContained(text, false, offers)).toMatchObject({ ok: false, value: 1 })
    expect(checkSelfContained(text, true, offers).ok).toBe(true)
    expect(checkSelfContained(text, false, 'A page about something else.').ok).toBe(true)
  })

  it.each([
    'The Harbour package gives us two pallets a month for 480 euro. Is the Harbour package worth it at 210 a pallet?',
    'Write an e-mail in which I cancel the Harbour package after thirty days.',
    'What should a package for exporters include, and what may it cost?',
  ])('finds nothing that only the document tells in %j', text => {
    expect(checkSelfContained(text, false, offers).ok).toBe(true)
  })
})
