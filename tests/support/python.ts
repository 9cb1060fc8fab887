import { installPython } from '../services/python.ts'

export { missingPython } from '../services/python.ts'

const requirements = [
  'confluent-kafka==2.16.0',
  'fastavro==1.13.1',
  'authlib==1.9.9',
  'attrs==26.1.0',
  'cachetools==8.0.1',
  'certifi==2026.10.18',
  'httpx2==2.16.2',
  'requests==2.34.2',
]

/** A Python with the packages of a Kafka client. */
export async function pythonWithClient(): Promise<string> {
  return (await installPython({ requirements })).python
}
