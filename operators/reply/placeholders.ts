/** Replies of the right shape that say nothing: templates filled with themselves, refusals in the fields. */

const empty = /^[^\p{L}\p{N}]*$/u
const standIns =
  /^(?:str|string|text|value|todo|tbd|null|undefined|placeholder|example|lorem ipsum.*|(?:your|insert|enter|fill|add)\b.{0,60}\bhere)\.?$/i
const bracketed = /^(?:<[^<>]{1,200}>|\[[^[\]]{1,200}\]|\{{1,3}[^{}]{1,200}\}{1,3})$/
const nothing = /^(?:none|n\/?a|not applicable|unknown|not specified)\.?$/i
const refusal =
  /^(?:(?:(?:i['’]?m|i am) (?:very |really )?)?(?:sorry|afraid)\b|i apologi[sz]e|unfortunately)?[,.;:—-]?\s*(?:but )?(?:i|we) (?:can(?:no|['’])?t|can not|am unable to|am not able to|won['’]t|will not)\b[^.?!]{0,60}\b(?:assist|help|comply|fulfil\w*|provide|create|generate|continue|do)\b[^.?!]{0,30}\b(?:this|that|it|request|content)\b/i
const maxRefusalChars = 300

/**
 * Tells what makes a checked object useless, or returns null.
 *
 * @param fields - The schema's fields with their descriptions.
 */
export function findPlaceholder(value: Record<string, unknown>, fields: ReadonlyMap<string, string>): string | null {
  const texts = [...fields.keys()].flatMap(field => {
    const text = value[field]
    return typeof text === 'string' ? [[field, text.trim()] as const] : []
  })
  const descriptions = new Set([...fields.values()].map(description => description.trim()))
  for (const [field, text] of texts) {
    const problem = problemOf(field, text, descriptions)
    if (problem) return problem
  }
  // One field may say that there is nothing to say, such as "extra information: none".
  const nothings = texts.filter(([, text]) => nothing.test(text))
  if (nothings.length > 1 || (nothings.length === 1 && texts.length < 3)) {
    return `${nothings.map(([field]) => `"${field}"`).join(' and ')} ${nothings.length > 1 ? 'say' : 'says'} nothing`
  }
  const distinct = new Set(texts.map(([, text]) => text))
  return texts.length > 1 && distinct.size === 1 ? 'all fields hold the same text' : null
}

/** Whether a whole text is empty, or stands where a text should be: "TODO", "<your text here>". */
export function isStandIn(text: string): boolean {
  return empty.test(text) || standIns.test(text) || bracketed.test(text)
}

/** Whether a short text says in its beginning that it will not do what was asked for. */
export function isRefusal(text: string): boolean {
  return text.length <= maxRefusalChars && refusal.test(text)
}

/** @param descriptions - Of all fields: a template may be filled with that of another one. */
function problemOf(field: string, text: string, descriptions: ReadonlySet<string>): string | null {
  if (text === '') return `"${field}" is empty`
  const isPlaceholder = isStandIn(text) || letters(text) === letters(field) || descriptions.has(text)
  if (isPlaceholder) return `"${field}" holds a placeholder (${JSON.stringify(text.slice(0, 60))})`
  const start = text.slice(0, maxRefusalChars)
  if (isRefusal(text)) return `"${field}" holds a refusal`
  return /^as an ai(?: language)? model\b/i.test(start) ? `"${field}" speaks of the assistant itself` : null
}

function letters(text: string): string {
  return text
    .slice(0, 100)
    .replace(/[^\p{L}]/gu, '')
    .toLowerCase()
}
