import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { runCommand } from './command.ts'
import { download, downloadFolder } from './download.ts'
import { JavaHost } from './host.ts'
import { freePorts } from './ports.ts'
import { aliveBrokers, answersHttp } from './ready.ts'
import { chooseWay } from './way.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'situ-test-'))
  vi.stubEnv('XDG_CACHE_HOME', join(folder, 'cache'))
})

afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, force: true })
})

/** Puts a command before those of the machine. */
function fakeCommand(name: string, script: string): void {
  const bin = join(folder, 'bin')
  mkdirSync(bin, { recursive: true })
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`)
  chmodSync(join(bin, name), 0o755)
  vi.stubEnv('PATH', [bin, process.env.PATH].join(delimiter))
}

describe('the way to have services', () => {
  it('is the brokers of the environment, before all others', async () => {
    fakeCommand('docker', 'echo 1')
    const environment = { SITU_TEST_BROKERS: 'one:9092, two:9092', SITU_TEST_REGISTRY: 'http://one:8081/' }
    const wanted = { kind: 'environment', brokers: ['one:9092', 'two:9092'], registry: 'http://one:8081' }
    expect(await chooseWay(environment)).toEqual(wanted)
  })

  it.runIf(process.platform === 'linux')('is an engine of containers where one answers', async () => {
    fakeCommand('docker', 'echo 1')
    expect(await chooseWay({})).toEqual({ kind: 'docker' })
  })

  it('is Java 17 with Maven where no engine answers', async () => {
    fakeCommand('docker', 'exit 1')
    fakeCommand('java', `echo 'openjdk version "17.0.1"' >&2`)
    for (const name of ['mvn', 'openssl']) fakeCommand(name, 'exit 0')
    expect(await chooseWay({})).toEqual({ kind: 'java' })
  })

  it('names what is missing where there is none', async () => {
    fakeCommand('docker', 'exit 1')
    fakeCommand('java', `echo 'openjdk version "11.0.1"' >&2`)
    for (const name of ['mvn', 'openssl']) fakeCommand(name, 'exit 1')
    const way = await chooseWay({})
    expect(way).toMatchObject({ kind: 'none', reason: expect.stringContaining('java 17 or later (here: 11)') })
    expect(way).toMatchObject({ reason: expect.stringMatching(/mvn.*openssl/) })
  })
})

describe('the download', () => {
  const fetched = () => readFileSync(join(folder, 'calls'), 'utf8')

  beforeEach(() => {
    fakeCommand(
      'mvn',
      `for word; do case $word in -Dsitu.folder=*) mkdir "\${word#*=}";; esac; done; echo call >> ${folder}/calls`,
    )
  })

  it('happens once for two that ask at the same time', async () => {
    expect(await Promise.all([download(), download()])).toEqual([downloadFolder(), downloadFolder()])
    expect(fetched()).toBe('call\n')
  })

  it('goes on where the process that began it has died', async () => {
    const gone = Number(await runCommand('sh', ['-c', 'echo $$']))
    mkdirSync(join(downloadFolder(), '..'), { recursive: true })
    writeFileSync(`${downloadFolder()}.lock`, `${gone}`)
    expect(await download()).toBe(downloadFolder())
  })

  it('leaves nothing that looks complete after a failure, and says what Maven said', async () => {
    fakeCommand('mvn', 'echo no such artifact; exit 1')
    await expect(download()).rejects.toThrow('no such artifact')
    fakeCommand('mvn', `echo again >> ${folder}/calls; exit 1`)
    await expect(download()).rejects.toThrow('mvn')
    expect(fetched()).toBe('again\n')
  })
})

describe('a service', () => {
  it('that ends at once is told with the end of its log', async () => {
    fakeCommand('java', 'echo the port is taken; exit 3')
    const host = new JavaHost(folder)
    const unit = { name: 'broker-1', java: [], container: { image: '' } }
    const { exited } = await host.start(unit)
    expect(await exited).toMatch(/exit code 3(.|\n)*the port is taken/)
    await host.close()
    await expect(host.start(unit)).rejects.toThrow('being stopped')
  })

  it('that nobody runs does not answer', async () => {
    const [port] = await freePorts(1)
    expect(await aliveBrokers(`127.0.0.1:${port}`)).toEqual([])
    expect(await answersHttp(`http://127.0.0.1:${port}/`)).toBe(false)
  })
})

it('free ports are distinct, and nothing listens on them', async () => {
  const ports = await freePorts(12)
  expect(new Set(ports).size).toBe(12)
  const refused = ports.map(port => new Promise(resolve => connect(port, '127.0.0.1').on('error', () => resolve(true))))
  expect(await Promise.all(refused)).toEqual(ports.map(() => true))
})
