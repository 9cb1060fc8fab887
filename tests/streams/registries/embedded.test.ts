import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { EmbeddedRegistry } from '../../../streams/registries/embedded.ts'
import { testRegistry } from '../../contracts/registry.ts'
import { expectError } from '../../contracts/transport/fixture.ts'
import { Child, killChildren } from '../transports/child.ts'
import { DataFolder } from '../transports/data-folder.ts'

testRegistry({
  name: 'embedded',
  create: async () => {
    const folder = new DataFolder()
    return {
      open: async () => new EmbeddedRegistry((await folder.open()).database),
      close: () => folder.remove(),
    }
  },
})

describe('embedded registry, its file', () => {
  let folder: DataFolder
  beforeEach(() => {
    folder = new DataFolder()
  })
  afterEach(async () => {
    killChildren()
    await folder.remove()
  })

  const schemaOf = (doc: string) => JSON.stringify({ type: 'record', name: 'Empty', doc, fields: [] })

  it('gives equal ids to three processes that register at the same time', async () => {
    const schemas = ['one', 'two', 'three'].map(schemaOf)
    const children = [0, 1, 2].map(
      turn => new Child(['register', folder.path, ...schemas.slice(turn), ...schemas.slice(0, turn)]),
    )
    const answers = (await Promise.all(children.map(child => child.next()))) as { ids: number[] }[]
    const straight = answers.map(({ ids }, turn) => [...ids.slice(3 - turn), ...ids.slice(0, 3 - turn)])
    expect(straight[1]).toEqual(straight[0])
    expect(straight[2]).toEqual(straight[0])
    expect(new Set(straight[0]).size).toBe(3)
  })

  it('answers for a known schema in a folder that was opened for reading', async () => {
    const writer = await folder.open()
    const id = await new EmbeddedRegistry(writer.database).register('subject', schemaOf('known'))
    await writer.close()
    const reader = await folder.open({ create: false, readOnly: true })
    const registry = new EmbeddedRegistry(reader.database)
    expect(await registry.register('subject', schemaOf('known'))).toBe(id)
    expect(JSON.parse(await registry.schema(id))).toEqual(JSON.parse(schemaOf('known')))
    await expectError(() => registry.register('subject', schemaOf('new')), 'DATA_UNREADABLE', folder.path)
  })
})
