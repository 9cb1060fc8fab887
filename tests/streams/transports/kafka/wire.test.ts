import kafkajs from 'kafkajs'
import { expect, it } from 'vitest'
import { withoutTimerWarning } from '../../../../streams/transports/kafka/wire.ts'

it('keeps only the warning of kafkajs’s timers from the user', () => {
  const seen: unknown[] = []
  const emit = withoutTimerWarning(((warning: unknown) => void seen.push(warning)) as typeof process.emitWarning)
  const emitFrom = (file: string, name: string) =>
    // The file of a caller is what its stack names.
    new Function('emit', 'name', `emit('negative', name)\n//# sourceURL=${file}`)(emit, name)
  emitFrom('/app/node_modules/kafkajs/src/network/requestQueue/index.js', 'TimeoutNegativeWarning')
  expect(seen).toEqual([])
  emitFrom('/app/own.js', 'TimeoutNegativeWarning')
  emitFrom('/app/node_modules/kafkajs/src/network/requestQueue/index.js', 'DeprecationWarning')
  expect(seen).toEqual(['negative', 'negative'])
})

it('has a codec for zstd', async () => {
  const codec = (kafkajs.CompressionCodecs as unknown as Record<number, () => Codec>)[kafkajs.CompressionTypes.ZSTD]?.()
  const buffer = Buffer.from('situation '.repeat(1000))
  const small = await codec?.compress({ buffer })
  expect(small?.length).toBeLessThan(buffer.length / 10)
  expect(small && (await codec?.decompress(small))).toEqual(buffer)
})

interface Codec {
  compress(encoder: { buffer: Buffer }): Promise<Buffer>
  decompress(buffer: Buffer): Promise<Buffer>
}
