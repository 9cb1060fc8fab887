import { describe, expect, it } from 'vitest'
import { checkRefusalOrMeta } from '../../../operators/examine/refusal-or-meta.ts'

describe('checkRefusalOrMeta', () => {
  it.each([
    "I'm sorry, but I can't help with that.",
    'I cannot create this content.',
    'As an AI language model, I have no opinion on ferries.',
    'Leider kann ich bei dieser Anfrage nicht helfen.',
    'Je suis désolé, mais je ne peux pas répondre à cette demande.',
    'Lo siento, no puedo ayudar con eso.',
    'Mi dispiace, ma non posso aiutarti con questo.',
    'Infelizmente, não posso ajudar com isso.',
    'Helaas kan ik je daar niet mee helpen.',
    'Tyvärr kan jag inte hjälpa till med det.',
    'Przepraszam, ale nie mogę pomóc w tej sprawie.',
    'К сожалению, я не могу помочь с этим запросом.',
    '申し訳ございませんが、お答えできません。',
    '很抱歉，我无法回答这个问题。',
    'Here is a challenging instruction for the pilot: Plan the crossing.',
    'Sure! Here you go: Plan the crossing.',
    'Instruction: Plan the crossing.',
    '<think>The user is a pilot.</think> Plan the crossing.',
    '{"instruction": "Plan the crossing."}',
    'Plan the crossing. This instruction requires knowledge of ice.',
    'The user wants a plan. The assistant should ask for the tide first.',
  ])('finds the refusal or the talk about the task in %j', text => {
    expect(checkRefusalOrMeta(text)).toMatchObject({ ok: false, evidence: expect.any(String) })
  })

  it.each([
    'I cannot sleep before a crossing. What can I do about it?',
    "I can't get my Dockerfile to build: npm ci fails.",
    'Leider kann ich nicht kochen. Plane ein Menü für acht Gäste.',
    '"I\'m sorry, but I can\'t help with that" is what our bot says. How do we mend it?',
    'As an AI researcher I need a talk on base rates.',
    'Explain each instruction of this assembly program.',
    'Write a user manual for a coffee machine with an assistant that speaks.',
    'Je ne peux pas payer mon loyer. Rédige un courriel.',
  ])('finds nothing in %j', text => {
    expect(checkRefusalOrMeta(text)).toEqual({ ok: true, value: null, evidence: null })
  })
})
