import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { SituError } from '../../../schemas/errors.ts'
import { readConfig } from '../../../streams/config/config.ts'
import { FullTextSearch } from '../../../streams/searches/full-text.ts'
import { MemoryLog } from '../../../streams/transports/memory.ts'
import { writeDocuments } from '../../support/documents-topic.ts'
import { memoryPipeline } from '../../support/pipeline.ts'
import { temporaryFolder } from '../../support/situ.ts'

const signal = new AbortController().signal

const ferry = { title: 'Ice on the river', text: 'The ferry lay still for nine weeks because the river was frozen.' }
const bread = { title: 'Rye bread', text: 'A sourdough starter needs flour and water. Bake the bread in a hot oven.' }
const knots = { title: 'Knots', text: 'A bowline holds the ferry at the quay and is undone after the load is gone.' }

async function begin({ partitions = 1, log = new MemoryLog(), folder = temporaryFolder() } = {}) {
  const pipeline = await memoryPipeline(log, undefined, partitions)
  const { config } = readConfig({ data: folder }, {})
  const open = () => FullTextSearch.open(pipeline, config)
  return { pipeline, folder, log, open, search: await open(), file: join(folder, 'document.index.db') }
}

function titles(found: readonly { title: string | null }[]) {
  return found.map(({ title }) => title)
}

describe('full-text search', () => {
  it('finds the document that covers the most of the keywords first', async () => {
    const { pipeline, search } = await begin({ partitions: 3 })
    const [id] = await writeDocuments(pipeline, [ferry, bread, knots])
    const found = await search.find(['frozen river', 'ferry'], { limit: 3, signal })
    expect(titles(found)).toEqual(['Ice on the river', 'Knots'])
    expect(found[0]).toMatchObject({ id, language: 'en', text: ferry.text })
    expect(found[0]?.relevance).toBeGreaterThan(found[1]?.relevance ?? 1)
    expect(found[0]?.relevance).toBeLessThanOrEqual(1)
    await search.close()
  })

  it('gives no more than it is asked for, and nothing where no word is in common', async () => {
    const { pipeline, search } = await begin()
    await writeDocuments(pipeline, [ferry, bread, knots])
    expect(await search.find(['ferry'], { limit: 1, signal })).toHaveLength(1)
    expect(await search.find(['quantum chromodynamics'], { limit: 3, signal })).toEqual([])
    await search.close()
  })

  it('lowers the relevance for words that no document has', async () => {
    const { pipeline, search } = await begin()
    await writeDocuments(pipeline, [ferry, bread, knots])
    const [alone] = await search.find(['bowline'], { limit: 1, signal })
    const [beside] = await search.find(['bowline', 'neutrino'], { limit: 1, signal })
    expect(beside?.relevance).toBeLessThan((alone?.relevance ?? 0) * 0.75)
    await search.close()
  })

  it('prefers documents that hold a keyword as a whole', async () => {
    const { pipeline, search } = await begin()
    const apart = {
      title: 'apart',
      text: 'The water was cold. A mill stood there, and the wheel had no water for years.',
    }
    const whole = {
      title: 'whole',
      text: 'The mill had a water wheel. It was cold there, and nobody had seen it in years.',
    }
    await writeDocuments(pipeline, [apart, whole, bread, knots])
    expect(titles(await search.find(['water wheel'], { limit: 2, signal }))).toEqual(['whole', 'apart'])
    await search.close()
  })

  it('folds case, accents, endings and Unicode forms', async () => {
    const { pipeline, search } = await begin()
    await writeDocuments(pipeline, [{ title: 'café', text: 'Deploying the Café’s new ordering system.' }, bread])
    for (const keyword of ['systems', 'deploy', 'CAFE', 'cafe\u0301', 'ＯＲＤＥＲ']) {
      expect(titles(await search.find([keyword], { limit: 1, signal }))).toEqual(['café'])
    }
    await search.close()
  })

  it('finds words of scripts that put no space between them, or join letters by marks', async () => {
    const { pipeline, search } = await begin()
    await writeDocuments(pipeline, [
      { title: 'ja', text: '梅干しの作り方を説明します。塩分は十八パーセントにします。' },
      { title: 'th', text: 'การปลูกข้าวในนาข้าวต้องใช้น้ำมาก' },
      { title: 'hi', text: 'यह किताब हिन्दी व्याकरण के बारे में है।' },
      { title: 'zh', text: '干燥的梅子不能用来酿酒。' },
    ])
    expect(titles(await search.find(['梅干し'], { limit: 1, signal }))).toEqual(['ja'])
    expect(titles(await search.find(['ข้าว'], { limit: 3, signal }))).toEqual(['th'])
    expect(titles(await search.find(['हिन्दी व्याकरण'], { limit: 3, signal }))).toEqual(['hi'])
    expect(titles(await search.find(['酿酒'], { limit: 3, signal }))).toEqual(['zh'])
    await search.close()
  })

  it.each([
    '"',
    'ferry OR bread',
    'title:ferry',
    'ferry* NEAR(river, 2)',
    '{title text} : (ferry',
    "'; DROP TABLE document; --",
    '-ferry ^river + "',
    '\u0000ferry\u0000',
    '',
    '𝔉𝔢𝔯𝔯𝔶 👩‍👩‍👧 \ud800',
  ])('takes nothing of the keyword %j for syntax', async keyword => {
    const { pipeline, search } = await begin()
    await writeDocuments(pipeline, [ferry, bread])
    const found = await search.find([keyword], { limit: 3, signal })
    expect(found.every(({ relevance }) => relevance >= 0 && relevance <= 1)).toBe(true)
    expect(titles(await search.find(['sourdough'], { limit: 3, signal }))).toEqual(['Rye bread'])
    await search.close()
  })

  it('does not read a column name, an operator or a prefix out of a keyword', async () => {
    const { pipeline, search } = await begin()
    await writeDocuments(pipeline, [ferry, bread])
    expect(await search.find(['title'], { limit: 3, signal })).toEqual([])
    expect(await search.find(['NOT'], { limit: 3, signal })).toEqual([])
    expect(await search.find(['sourdou*'], { limit: 3, signal })).toEqual([])
    await search.close()
  })

  it('bears a page of keywords', async () => {
    const { pipeline, search } = await begin()
    await writeDocuments(pipeline, [ferry, bread])
    const keywords = Array.from({ length: 500 }, (_, index) => `ferry number${index} and more${index}`)
    expect(titles(await search.find(keywords, { limit: 1, signal }))).toEqual(['Ice on the river'])
    await search.close()
  })

  it('is an error while there is no document, and finds those that come later', async () => {
    const { pipeline, search } = await begin()
    const failure: SituError = await search.find(['ferry'], { limit: 1, signal }).catch(error => error)
    expect(failure.code).toBe('SEARCH_EMPTY')
    await writeDocuments(pipeline, [bread])
    expect(await search.find(['ferry'], { limit: 1, signal })).toEqual([])
    await writeDocuments(pipeline, [ferry])
    expect(titles(await search.find(['ferry'], { limit: 1, signal }))).toEqual(['Ice on the river'])
    await search.close()
  })

  it('goes on from where an earlier process has come, and shares the file with one that is open', async () => {
    const { pipeline, search, open } = await begin({ partitions: 2 })
    await writeDocuments(pipeline, [ferry, bread])
    await search.find(['ferry'], { limit: 1, signal })
    const second = await open()
    await writeDocuments(pipeline, [knots])
    const [first, other] = await Promise.all([
      search.find(['bowline'], { limit: 3, signal }),
      second.find(['bowline'], { limit: 3, signal }),
    ])
    expect(titles(first)).toEqual(['Knots'])
    expect(other).toEqual(first)
    await search.close()
    await second.close()
  })

  it('makes a deleted index again', async () => {
    const { pipeline, search, open, file, folder } = await begin()
    await writeDocuments(pipeline, [ferry, bread])
    const before = await search.find(['ferry'], { limit: 3, signal })
    await search.close()
    expect(existsSync(file)).toBe(true)
    for (const ending of ['', '-wal', '-shm']) rmSync(join(folder, `document.index.db${ending}`), { force: true })
    const again = await open()
    expect(await again.find(['ferry'], { limit: 3, signal })).toEqual(before)
    await again.close()
  })

  it('makes an index again that was left over from another log', async () => {
    const { pipeline, search, folder } = await begin()
    await writeDocuments(pipeline, [ferry, bread])
    await search.find(['ferry'], { limit: 1, signal })
    await search.close()
    const other = await begin({ folder })
    await writeDocuments(other.pipeline, [bread, knots, { text: 'A third text about a mill.' }])
    expect(titles(await other.search.find(['ferry'], { limit: 3, signal }))).toEqual(['Knots'])
    await other.search.close()
  })

  it('leaves out what is no document', async () => {
    const { pipeline, search } = await begin()
    await pipeline.transport.produce([{ topic: 'document', partition: 0, key: 'x', value: Buffer.from('no record') }])
    await writeDocuments(pipeline, [ferry])
    expect(titles(await search.find(['ferry'], { limit: 3, signal }))).toEqual(['Ice on the river'])
    await search.close()
  })

  it('names the file and the way out where the index is damaged', async () => {
    const folder = temporaryFolder()
    writeFileSync(
      join(folder, 'document.index.db'),
      'no database at all, but long enough to be looked at as one. '.repeat(20),
    )
    const failure: SituError = await begin({ folder }).catch(error => error)
    expect(failure.code).toBe('DATA_CORRUPT')
    expect(failure.message).toMatch(/document\.index\.db.*delete it/)
  })
})
