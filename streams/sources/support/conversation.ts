/** Fields that hold the turns of a conversation: ShareGPT's and OpenAI's names. */
const turnFields = ['conversations', 'messages', 'conversation']

/** The first turn of the user of a conversation, in ShareGPT's form or OpenAI's; null where there is none. */
export function firstUserTurn(record: object): string | null {
  for (const name of turnFields) {
    const turns: unknown = Object.hasOwn(record, name) ? (record as Record<string, unknown>)[name] : null
    if (!Array.isArray(turns)) continue
    const turn = turns.find(isUsers)
    return turn ? textOf(turn) : null
  }
  return null
}

function isUsers(turn: unknown): turn is Record<string, unknown> {
  if (turn === null || typeof turn !== 'object') return false
  const { role, from } = turn as Record<string, unknown>
  return ['user', 'human'].includes(String(role ?? from))
}

/** OpenAI's content is a text, or a list of parts of which some are texts. */
function textOf({ content, value }: Record<string, unknown>): string | null {
  const given = content ?? value
  if (typeof given === 'string') return given
  if (!Array.isArray(given)) return null
  const texts = given.flatMap(part => (typeof part?.text === 'string' ? [part.text] : []))
  return texts.length > 0 ? texts.join('\n') : null
}
