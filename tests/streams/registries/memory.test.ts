import { MemoryRegistry } from '../../../streams/registries/memory.ts'
import { testRegistry } from '../../contracts/registry.ts'

testRegistry({
  name: 'memory',
  create: async () => {
    const registry = new MemoryRegistry()
    return { open: async () => registry, close: async () => {} }
  },
})
