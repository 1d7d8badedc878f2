/** The worker in the real worker runtime, as `npm run edge` starts it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

export interface RunningEdge {
  url: string
  close(): Promise<void>
}

const root = join(import.meta.dirname, '../..')
const stopMs = 10_000

export async function startEdgeWorker(env: Record<string, string>): Promise<RunningEdge> {
  const child = spawn(process.execPath, [join(root, 'edge.ts')], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', PORT: '0', ...env },
  })
  const url = await readyUrl(child)
  return {
    url,
    async close() {
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), stopMs)
      await ended
      clearTimeout(timer)
    },
  }
}

function readyUrl(child: ChildProcess): Promise<string> {
  let told = ''
  return new Promise((resolve, reject) => {
    const read = (chunk: Buffer) => {
      told = (told + chunk.toString()).slice(-10_000)
      const url = /Ready on (http:\/\/[^\s]+)/.exec(told)?.[1]
      if (url) resolve(url)
    }
    child.stdout?.on('data', read)
    child.stderr?.on('data', read)
    child.once('exit', (code) => reject(new Error(`the worker runtime ended with ${code}: ${told}`)))
  })
}
