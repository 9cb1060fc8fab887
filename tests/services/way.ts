import { runCommand } from './command.ts'
import { isDownloaded } from './download.ts'

export type Way =
  | { kind: 'environment'; brokers: string[]; registry: string | null }
  | { kind: 'docker' }
  | { kind: 'java' }
  | { kind: 'none'; reason: string }

/** How services would be had on this machine: those given by the environment, containers, Java and Maven, or not at all. */
export async function chooseWay(environment: NodeJS.ProcessEnv = process.env): Promise<Way> {
  const { SITU_TEST_BROKERS: brokers, SITU_TEST_REGISTRY: registry } = environment
  if (brokers)
    return {
      kind: 'environment',
      brokers: brokers.split(',').map(word => word.trim()),
      registry: registry?.replace(/\/+$/, '') || null,
    }
  if (await hasEngine()) return { kind: 'docker' }
  const missing = await missingForJava()
  if (missing.length === 0) return { kind: 'java' }
  const reason = `SITU_TEST_BROKERS is not set, no Docker engine answers, and for Java there is missing: ${missing.join(', ')}`
  return { kind: 'none', reason }
}

/** Containers use the network of this machine, which only an engine on Linux itself can give them. */
async function hasEngine(): Promise<boolean> {
  if (process.platform !== 'linux') return false
  return (
    (await succeeds('docker', ['info', '--format', '{{.ServerVersion}}'])) &&
    (await succeeds('docker', ['compose', 'version']))
  )
}

async function missingForJava(): Promise<string[]> {
  const [java, maven, openssl] = await Promise.all([
    javaVersion(),
    isDownloaded() || succeeds('mvn', ['-v'], 20_000),
    succeeds('openssl', ['version']),
  ])
  return [
    ...(java >= 17 ? [] : [java === 0 ? 'java 17 or later' : `java 17 or later (here: ${java})`]),
    ...(maven ? [] : ['mvn (Maven, for the download)']),
    ...(openssl ? [] : ['openssl']),
  ]
}

async function javaVersion(): Promise<number> {
  try {
    const printed = await runCommand('java', ['-version'], { timeoutMs: 20_000 })
    return Number(/version "(\d+)/.exec(printed)?.[1] ?? 0)
  } catch {
    return 0
  }
}

async function succeeds(file: string, words: readonly string[], timeoutMs = 2_000): Promise<boolean> {
  try {
    await runCommand(file, words, { timeoutMs })
    return true
  } catch {
    return false
  }
}
