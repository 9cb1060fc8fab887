import type { Check } from '../../schemas/records.ts'
import { isRefusal } from '../reply/placeholders.ts'
import { failed, passed } from './check.ts'

/** How far into a text a refusal or the wrapping of a reply is looked for. */
const beginningCharacters = 300

const instruction =
  '(?:instruction|prompt|query|request|user message|consigne|requête|instrucción|instrução|istruzione|anweisung|instruktion|instructie|polecenie|инструкция|запрос)'

/** Excuses followed by what can't be done, at the beginning; each with verbs of help, since a user can fail at things. */
const refusals: readonly RegExp[] = [
  /^(?:i['’]m|i am) (?:very |so |really )?(?:sorry|afraid)\b[^.?!]{0,40}\b(?:can(?:no|['’])?t|unable|won['’]t|not able)\b/i,
  /^(?:es tut mir (?:sehr |wirklich )?leid|leider|entschuldig\p{L}*|ich bedaure)[^.?!]{0,60}\b(?:kann|darf|können)\b[^.?!]{0,80}\b(?:helfen|beantworten|erfüllen|erstellen|unterstützen|nachkommen|dienen)/iu,
  /^(?:je suis (?:vraiment )?désolée?|désolée?|malheureusement|je regrette)[^.?!]{0,60}\bpeux (?:pas|malheureusement pas)\b[^.?!]{0,80}(?:aider|répondre|créer|rédiger|générer|fournir|traiter|satisfaire)/iu,
  /^(?:lo siento|lo lamento|disculpa|perdón|lamentablemente)[^.?!]{0,80}\bno (?:puedo|me es posible)\b[^.?!]{0,80}(?:ayudar|responder|crear|redactar|generar|proporcionar|cumplir)/iu,
  /^(?:mi dispiace|purtroppo|mi scuso)[^.?!]{0,60}\bnon posso\b[^.?!]{0,80}(?:aiutar|rispondere|creare|scrivere|generare|fornire|soddisfare)/iu,
  /^(?:desculpe|lamento|sinto muito|infelizmente)[^.?!]{0,60}\bnão (?:posso|consigo)\b[^.?!]{0,80}(?:ajudar|responder|criar|escrever|gerar|fornecer|atender)/iu,
  /^(?:het spijt me|sorry|helaas)[^.?!]{0,60}\bkan ik\b[^.?!]{0,80}(?:niet|geen)[^.?!]{0,40}(?:helpen|beantwoorden|maken|schrijven|voldoen)/iu,
  /^(?:tyvärr|jag är ledsen|desværre|beklager|jeg beklager|undskyld)[^.?!]{0,60}\bkan (?:jag|jeg)?[^.?!]{0,20}(?:inte|ikke)\b[^.?!]{0,60}(?:hjälpa|svara|skapa|skriva|hjelpe|hjælpe|svare|lage)/iu,
  /^(?:przepraszam|przykro mi|niestety)[^.?!]{0,60}\bnie mogę[^.?!]{0,80}(?:pomóc|odpowiedzieć|stworzyć|napisać|spełnić)/iu,
  /^(?:извините|простите|к сожалению|мне жаль)[^.?!]{0,60}не могу[^.?!]{0,80}(?:помочь|ответить|создать|написать|выполнить)/iu,
  /^(?:申し訳(?:あり|ござい)ません|すみません|恐れ入りますが)[^。]{0,60}(?:できません|できかねます|いたしかね|お応え|お答え)/u,
  /^(?:很|非常|十分)?(?:抱歉|对不起|遗憾)[^。]{0,40}(?:无法|不能|不可以)/u,
]

const speaksAsModel: readonly RegExp[] = [
  /\bas an? (?:ai|artificial intelligence|large language model|language model)(?: language)?(?: model| assistant)?,? i(?:['’]m| am| do| can| cannot| don['’]t| can['’]t| have| must)\b/i,
  /\bas an? (?:ai )?(?:large )?language model(?:, | i\b)/i,
  /\bals (?:ki|künstliche intelligenz|(?:großes )?sprachmodell|ki-sprachmodell|ki-modell)(?: kann| habe| darf|,)/iu,
  /\ben tant que (?:modèle de langage|modèle linguistique|ia|assistant ia|intelligence artificielle)\b[^.]{0,20}\bje\b/iu,
  /\bcomo (?:un )?(?:modelo de lenguaje|modelo de linguagem|modelo de língua|ia|asistente de ia)(?: no| não|,)/iu,
  /\bcome (?:un )?modello (?:linguistico|di linguaggio)\b/iu,
  /\bals (?:ai-)?taalmodel\b|\bsom (?:en |ai-)?språkmodell?\b|\bjako model językowy\b|как языковая модель/iu,
  /(?:AI|言語モデル|人工知能)(?:言語モデル)?(?:として|である私)|作为(?:一个|一名)?(?:AI|人工智能|大?语言模型)(?:语言模型|助手)?，?我/u,
]

/** What models put around an instruction, or say about it. */
const wrappings: readonly RegExp[] = [
  new RegExp(`^\\W*(?:user )?${instruction}\\W{0,3}[:：]`, 'iu'),
  new RegExp(
    `^(?:(?:sure|certainly|of course|okay|ok|great|absolutely|gerne|klar|natürlich|bien sûr|claro|certo)[!,. ]+)?(?:here(?:['’]s| is| are)|this is|hier (?:ist|kommt)|voici|voilà|aquí (?:tienes|está)|aqui está|ecco|hier is|här är|her er|oto|вот) (?:[^.:\\n]{0,40} )?${instruction}(?!\\p{L})[^:\\n]{0,120}[:：]`,
    'iu',
  ),
  /^(?:以下|下面)(?:が|は|是)[^。：\n]{0,20}(?:指示|指令|プロンプト|提示词)/u,
  /^(?:sure|certainly|of course|absolutely)[!,.] (?:here|i['’]ll|i can|let me|below)\b/i,
  /^\s*<(?:think|thinking|instruction|query|prompt)>|<\/(?:think|thinking|instruction|query|prompt)>\s/i,
  /^\s*(?:```(?:json)?\s*)?\{\s*"(?:instruction|query|prompt|text|thought)"\s*:/i,
  /^\W*(?:rationale|explanation|why this works|analysis)\W{0,3}[:：]?\W*(?:this|the) (?:instruction|prompt|query)\b/im,
  /\b(?:this|the above|the following|the generated|the resulting) (?:instruction|prompt|query) (?:is|requires|tests|was|has|can|should|challenges|combines|satisfies|meets|asks)\b/i,
  /\ba (?:suitable|better|good|possible|fitting|challenging|realistic|self-contained) (?:instruction|prompt|query)\b[^.?!]{0,40}\b(?:is|would be|could be|might be)\b/i,
  /\b(?:make sure|ensure)(?: that)? the (?:instruction|prompt|query) (?:is|can|does|has)\b/i,
  /\b(?:tests|test|testing|assess(?:es)?|evaluat(?:e|es)|challeng(?:e|es)) (?:whether |if )?the (?:model|ai|llm)(?:['’]s)? (?:can|is able|ability|understanding|to)\b/i,
  /^the user (?:is|wants|needs|asks|has|would|seeks|should)\b[\s\S]*\bassistant\b/i,
  /\b(?:the user|the persona|the person) (?:above|described (?:above|in the scene)|in (?:this|the) (?:scene|scenario|situation))\b/i,
  /^i apologi[sz]e for\b[^.]{0,60}\b(?:response|answer|confusion|mistake|reply)\b/i,
]

/** Looks for a refusal, for the model speaking of itself, and for talk about the instruction instead of one. */
export function checkRefusalOrMeta(text: string): Check {
  const beginning = text.trimStart().slice(0, beginningCharacters)
  for (const pattern of refusals) {
    const found = pattern.exec(beginning)
    if (found) return failed(found[0])
  }
  if (isRefusal(text)) return failed(beginning)
  for (const pattern of [...speaksAsModel, ...wrappings]) {
    const found = pattern.exec(text)
    if (found) return failed(found[0])
  }
  return passed()
}
