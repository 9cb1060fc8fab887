import { describe, expect, it } from 'vitest'
import { openingOf } from '../../operators/opening.ts'

describe('the opening of a text', () => {
  it.each([
    ['I need help with my garden, please.', 'i need help with'],
    ['  **I need** help\nwith: nothing', 'i need help with'],
    ['Help!', 'help'],
    ['Élan vital is what', 'élan vital is what'],
    ['12 of 30 ferries were late', '12 of 30 ferries'],
    ['', ''],
    ['?! …', ''],
  ])('%j is %j: four words, folded', (text, opening) => {
    expect(openingOf(text)).toBe(opening)
  })

  it.each([
    ['请帮我写一封关于渡轮的信', '请帮我写一封关'],
    ['請幫我，寫一封信', '請幫我寫一封信'],
    ['フェリーの時刻表を作ってください', 'フェリーの時刻'],
    ['เรือข้ามฟากออกจากท่าเรือ', openingOf('เรือข้ามฟากเข้าจากท่าเรือ')],
  ])('%j is %j: seven characters of a script without spaces', (text, opening) => {
    expect(openingOf(text)).toBe(opening)
  })

  it('counts words and characters together where both are mixed', () => {
    expect(openingOf('Python で短い関数を書いて')).toBe('python で短い関数')
    expect(openingOf('用 Python 和 Go 写一个函数')).toBe('用 python 和 go 写一')
  })

  it('is short, however long the first words are', () => {
    expect(openingOf('x'.repeat(10_000)).length).toBe(80)
    expect(openingOf(`${'𠮷'.repeat(60)} a`)).toBe('𠮷'.repeat(7))
    expect(openingOf(`${'word'.repeat(19)}𝒳𝒳𝒳 b`).isWellFormed()).toBe(true)
  })
})
