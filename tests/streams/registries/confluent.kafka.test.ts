import { ConfluentRegistry } from '../../../streams/registries/confluent.ts'
import { testRegistry } from '../../contracts/registry.ts'
import { kafkaServices } from '../../support/kafka.ts'

testRegistry({
  name: 'confluent',
  create: async () => ({
    open: async () => new ConfluentRegistry({ url: kafkaServices().registry, auth: null, ca: null }),
    close: async () => {},
  }),
})
