import { describe, expect, it } from 'vitest'
import { shingles } from '../../../operators/dedup/shingles.ts'

describe('shingles', () => {
  it.each([
    ['the quick brown fox', ['the quick brown', 'quick brown fox']],
    ['two words', []],
    ['', []],
    ['渡轮每天早上', ['渡轮每天早', '轮每天早上']],
    ['東京 へ 行く', ['東京へ行く']],
    ['短い', []],
    ['привет мир друзья', ['привет мир друзья']],
    ['한국어 텍스트 입니다', ['한국어 텍스트 입니다']],
    ['𠀀𠀁𠀂𠀃𠀄', ['𠀀𠀁𠀂𠀃𠀄']],
  ])('cuts %j', (text, expected) => {
    expect([...shingles(text)]).toEqual(expected)
  })

  it('goes by characters where a good part of the letters has no spaces, else by words', () => {
    expect([...shingles('用 node.js 写 一个 服务器')][0]).toHaveLength(5)
    expect([...shingles('the word 東京 means tokyo in japanese')][0]).toBe('the word 東京')
  })
})
