import { describe, expect, it } from 'vitest'
import type { ErrorCode } from '../../../schemas/errors.ts'
import type { Failed } from '../../../schemas/records.ts'
import { makeEvidence } from '../../../streams/evidence.ts'
import { causesOf, readDeadLetters } from '../../../streams/inspect/dead-letters.ts'
import { memoryPipeline } from '../../support/pipeline.ts'

function letter(id: string, operator: string, code: ErrorCode, time: number, variant = 'main'): Failed {
  const place = { id: 'input', topic: 'document', partition: 0, offset: time }
  const own = { id, operator, code, time, variant, message: `${operator}: message of ${id}`, attempts: 1 }
  return {
    ...own,
    input: 'input',
    evidence: makeEvidence('', 'none'),
    source: null,
    place,
    value: null,
    provenance: null,
  }
}

const letters = [
  letter('a', 'situate', 'MODEL_REPLY_INVALID', 10),
  letter('b', 'situate', 'MODEL_REPLY_INVALID', 30),
  letter('c', 'instruct', 'MODEL_REPLY_INVALID', 20),
  letter('d', 'instruct', 'MODEL_TIMEOUT', 40),
  letter('e', 'instruct', 'MODEL_REPLY_INVALID', 50, 'short'),
]

async function read(filter: Parameters<typeof readDeadLetters>[1]): Promise<string[]> {
  const pipeline = await memoryPipeline()
  await pipeline.transport.produce(
    letters.map(own => ({ topic: 'failed', partition: 0, key: own.id, ...pipeline.serde.encode('failed', own) })),
  )
  return (await readDeadLetters(pipeline, filter)).map(({ id }) => id)
}

describe('dead letters', () => {
  it('are read oldest first, by code, operator and time', async () => {
    expect(await read({})).toEqual(['a', 'c', 'b', 'd', 'e'])
    expect(await read({ code: 'MODEL_REPLY_INVALID' })).toEqual(['a', 'c', 'b', 'e'])
    expect(await read({ operator: 'instruct' })).toEqual(['c', 'd'])
    expect(await read({ operator: 'instruct.short' })).toEqual(['e'])
    expect(await read({ since: 20, until: 40 })).toEqual(['c', 'b'])
    expect(await read({ code: 'MODEL_TIMEOUT', operator: 'situate' })).toEqual([])
  })

  it('are grouped by cause, the commonest first, with counts and what helps', () => {
    const sorted = [...letters].sort((left, right) => left.time - right.time)
    expect(causesOf(sorted)).toEqual([
      {
        operator: 'situate',
        code: 'MODEL_REPLY_INVALID',
        count: 2,
        oldest: 10,
        newest: 30,
        example: { id: 'b', message: 'situate: message of b' },
        remedy: expect.stringContaining('situ failed show'),
      },
      expect.objectContaining({ operator: 'instruct', code: 'MODEL_REPLY_INVALID', count: 1 }),
      expect.objectContaining({ operator: 'instruct', code: 'MODEL_TIMEOUT', count: 1 }),
      expect.objectContaining({ operator: 'instruct.short', code: 'MODEL_REPLY_INVALID', count: 1 }),
    ])
  })

  it('have no remedy where this version does not know their code', () => {
    const unknown = { ...letter('x', 'situate', 'OPERATOR_BUG', 1), code: 'OF_THE_FUTURE' }
    expect(causesOf([unknown])).toMatchObject([{ code: 'OF_THE_FUTURE', remedy: null }])
  })
})
