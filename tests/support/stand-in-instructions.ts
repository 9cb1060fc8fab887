import { z } from 'zod'
import { instructionReply } from '../../operators/instruct.ts'
import { StandIn } from '../../streams/models/stand-in.ts'
import { readDocuments, type TestDocument } from './documents.ts'

export interface MadeInstruction {
  text: string
  document: TestDocument
}

/** Instructions that the stand-in writes, one for each of the first documents. */
export async function standInInstructions(count: number): Promise<MadeInstruction[]> {
  const model = new StandIn()
  const replySchema = { name: 'instruction', schema: z.toJSONSchema(instructionReply) }
  const { signal } = new AbortController()
  return Promise.all(
    readDocuments(count).map(async document => {
      const messages = [{ role: 'user' as const, content: `<document>\n${document.text}\n</document>` }]
      const { text } = await model.complete({ messages, replySchema, sample: 0, signal })
      return { text: instructionReply.parse(JSON.parse(text)).instruction, document }
    }),
  )
}
