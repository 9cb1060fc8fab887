import { testTransport } from '../../contracts/transport.ts'
import { KafkaFixture } from './kafka-fixture.ts'

testTransport({ name: 'kafka', indexesKeys: false, create: async () => new KafkaFixture() })
