/** The gateway as a real process, as operators run it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compileCache } from './compile-cache.ts'

export const processKey = 'ak_live_processprocessprocess00001'

export interface GatewayProcess {
  url: string
  pid: number
  dataDir: string
  child: ChildProcess
  output(): string
  /** Sends the signal to the gateway itself and waits for the end; answers its exit code. */
  end(signal: NodeJS.Signals): Promise<number | null>
}

export interface ProcessOptions {
  env?: Record<string, string | undefined>
  /** @default the entry file, run by this Node */
  command?: [string, ...string[]]
  cwd?: string
  /** Keeps what a former process left. @default a new folder */
  dataDir?: string
}

const root = join(import.meta.dirname, '../..')

export function newDataDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'gateway-'))
  chmodSync(dir, 0o755)
  return dir
}

/** Starts without waiting; for processes that are expected to refuse. */
export function spawnGateway({ env = {}, command, cwd = root, dataDir = newDataDir() }: ProcessOptions = {}) {
  const [file, ...args] = command ?? [process.execPath, 'adapters/node/main.ts']
  const child = spawn(file, args, {
    cwd,
    env: {
      PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}`,
      HOME: process.env.HOME,
      NODE_COMPILE_CACHE: compileCache,
      HOST: '127.0.0.1',
      PORT: '0',
      DATA_DIR: dataDir,
      BOOTSTRAP_API_KEY: processKey,
      DRAIN_DELAY: '0s',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  child.stdout.on('data', (data) => (text += data))
  child.stderr.on('data', (data) => (text += data))
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  return { child, dataDir, exited, output: () => text }
}

export async function startGatewayProcess(options: ProcessOptions = {}): Promise<GatewayProcess> {
  const { child, dataDir, exited, output } = spawnGateway(options)
  const line = await new Promise<{ url: string; pid: number }>((resolve, reject) => {
    const look = () => {
      const found = output()
        .split('\n')
        .find((l) => l.includes('"listening"'))
      if (found) resolve(JSON.parse(found))
    }
    child.stdout.on('data', look)
    void exited.then((code) => reject(new Error(`exited with ${code} before listening:\n${output()}`)))
  })
  return {
    ...line,
    url: line.url.replace('localhost', '127.0.0.1'),
    dataDir,
    child,
    output,
    end(signal) {
      process.kill(line.pid, signal)
      return exited
    },
  }
}

export const removeDataDir = (dir: string) => rmSync(dir, { recursive: true, force: true })

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
