/** The operator's tool as a real process. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { compileCache } from './compile-cache.ts'

export interface AdminRun {
  code: number
  out: string
  error: string
  /** Of a run with `--json`. */
  json(): Record<string, unknown>
}

const root = join(import.meta.dirname, '../..')

export const runAdmin = (env: Record<string, string>, ...args: string[]) => runAdminReading('', env, ...args)

/** `input`: what stands on its stdin. */
export async function runAdminReading(
  input: string,
  env: Record<string, string>,
  ...args: string[]
): Promise<AdminRun> {
  const child = spawn(process.execPath, ['adapters/node/admin.ts', ...args], {
    cwd: root,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, NODE_COMPILE_CACHE: compileCache, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  child.stdin.on('error', () => {}) // It need not read what it does not want.
  child.stdin.end(input)
  let [out, error] = ['', '']
  child.stdout.on('data', (data) => (out += data))
  child.stderr.on('data', (data) => (error += data))
  const [code] = (await once(child, 'close')) as [number]
  return { code, out, error, json: () => JSON.parse(out) as Record<string, unknown> }
}
