import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { evidenceLimitBytes, makeEvidence } from '../../streams/evidence.ts'

const sha256 = (content: string | Uint8Array) => createHash('sha256').update(content).digest('hex')

describe('makeEvidence', () => {
  it('keeps a text as it is, with size and hash in bytes', () => {
    expect(makeEvidence('grün', 'reply')).toEqual({
      kind: 'reply',
      text: 'grün',
      base64: false,
      size: 5,
      sha256: sha256('grün'),
      cut: false,
    })
  })

  it('keeps bytes that are no UTF-8 in base64', () => {
    const bytes = Uint8Array.of(0xff, 0x00, 0x61)
    expect(makeEvidence(bytes, 'bytes')).toMatchObject({ text: '/wBh', base64: true, size: 3, cut: false })
  })

  it('cuts a long text at a whole character within the limit', () => {
    for (const start of ['', 'a', 'aa']) {
      const text = start + '日'.repeat(100_000)
      const evidence = makeEvidence(text, 'bytes')
      expect(evidence).toMatchObject({ base64: false, size: Buffer.byteLength(text), sha256: sha256(text), cut: true })
      expect(Buffer.byteLength(evidence.text)).toBeGreaterThan(evidenceLimitBytes - 4)
      expect(Buffer.byteLength(evidence.text)).toBeLessThanOrEqual(evidenceLimitBytes)
      expect(text.startsWith(evidence.text)).toBe(true)
    }
  })

  it('cuts long bytes so that their base64 is within the limit', () => {
    const bytes = Buffer.alloc(300_000, 0xff)
    const evidence = makeEvidence(bytes, 'bytes')
    expect(evidence).toMatchObject({ base64: true, size: 300_000, sha256: sha256(bytes), cut: true })
    expect(evidence.text).toHaveLength(evidenceLimitBytes)
  })

  it('tells size and hash of the whole where it is given the beginning alone', () => {
    const whole = { size: 1000, sha256: sha256('whole') }
    expect(makeEvidence('begin', 'bytes', whole)).toMatchObject({
      text: expect.stringMatching(/^begi/),
      ...whole,
      cut: true,
    })
  })

  it('holds nothing for an error without evidence', () => {
    expect(makeEvidence('', 'none')).toMatchObject({ kind: 'none', text: '', size: 0, cut: false })
  })
})
