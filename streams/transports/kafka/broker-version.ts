import { type Answer, sendRaw } from './raw-request.ts'
import type { Broker } from './wire.ts'

/** The first level of each release's feature `metadata.version`; a broker takes all up to the last that it knows. */
const releases: readonly (readonly [level: number, release: string])[] = [
  [30, '4.3 or newer'],
  [28, '4.2'],
  [26, '4.1'],
  [22, '4.0'],
  [21, '3.9'],
  [20, '3.8'],
  [15, '3.7'],
  [12, '3.6'],
  [9, '3.5'],
  [8, '3.4'],
  [1, '3.3 or older'],
]
const supportedFeatures = 0
const name = 'situ'
const compactName = Buffer.from([name.length + 1, ...Buffer.from(name)])
/** Tagged fields of the header, name and version of the client, tagged fields. */
const body = Buffer.concat([Buffer.of(0), compactName, Buffer.from([2, 0x31]), Buffer.of(0)])

/**
 * The release of a broker by the features that it knows, since none tells its version: such as `4.1`.
 *
 * @see https://kafka.apache.org/protocol ApiVersions, version 3
 */
export function readRelease(broker: Broker): Promise<string> {
  return sendRaw(broker, { apiKey: 18, apiVersion: 3, apiName: 'ApiVersions', body, read: releaseOf })
}

function releaseOf(answer: Answer): string {
  const errorCode = answer.int16()
  if (errorCode !== 0) return 'older than 2.4'
  answer.compactArray(() => {
    // Key, lowest and highest version of a request.
    answer.take(6)
    answer.tags()
  })
  // Throttle time.
  answer.take(4)
  const features = answer.tags().get(supportedFeatures)
  const levels = features?.compactArray(() => {
    const feature = features.compactString()
    features.int16()
    const highest = features.int16()
    features.tags()
    return feature === 'metadata.version' ? highest : 0
  })
  const level = Math.max(0, ...(levels ?? []))
  return releases.find(([first]) => level >= first)?.[1] ?? 'of an unknown version'
}
