import { join } from 'node:path'
import type { Host } from './host.ts'
import { freePorts } from './ports.ts'
import { answersHttp, waitUntil } from './ready.ts'

export interface RegistryOptions {
  /** Where the jar is; not needed where the host has it in an image. */
  jars: string | null
  version: string
}

/** Starts a schema registry that keeps all in memory; its base URL. */
export async function startRegistry(host: Host, { jars, version }: RegistryOptions): Promise<string> {
  const [port = 0] = await freePorts(1)
  const url = `http://127.0.0.1:${port}/apis/ccompat/v7`
  const settings = { 'quarkus.http.host': '127.0.0.1', 'quarkus.http.port': `${port}` }
  const running = await host.start({
    name: 'registry',
    java: [
      ...['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'],
      ...Object.entries(settings).map(([name, value]) => `-D${name}=${value}`),
      ...['-jar', join(jars ?? '', `apicurio-registry-app-${version}-runner.jar`)],
    ],
    container: {
      image: `apicurio/apicurio-registry:${version}`,
      environment: { QUARKUS_HTTP_HOST: '127.0.0.1', QUARKUS_HTTP_PORT: `${port}` },
    },
  })
  await waitUntil('the schema registry', () => answersHttp(`${url}/subjects`), { ended: running.exited })
  return url
}
