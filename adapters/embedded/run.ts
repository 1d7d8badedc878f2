import { spawn } from 'node:child_process'
import type { Identity } from './identity.ts'

interface RunResult {
  code: number | null
  stdout: string
  stderr: string
}

/** Programs see these variables alone: the gateway's environment holds secrets. */
export const environment = { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', TZ: 'UTC' }

/** Runs a program to its end, at most a minute. A program that cannot be started ends with code null. */
export function run(
  identity: Identity,
  program: string,
  args: string[],
  options: { input?: string; signal?: AbortSignal } = {},
): Promise<RunResult> {
  const [command = program, ...rest] = [...identity.prefix, program, ...args]
  return new Promise((resolve, reject) => {
    const child = spawn(command, rest, {
      ...identity.spawn,
      cwd: '/',
      env: environment,
      timeout: 60_000,
      killSignal: 'SIGKILL',
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    const onAbort = () => child.kill('SIGKILL')
    options.signal?.addEventListener('abort', onAbort, { once: true })
    const end = (code: number | null, note = '') => {
      options.signal?.removeEventListener('abort', onAbort)
      if (options.signal?.aborted) reject(options.signal.reason)
      else resolve({ code, stdout, stderr: stderr + note })
    }
    child.stdout.on('data', (chunk: Buffer) => {
      stdout = (stdout + chunk).slice(-4000)
    })
    child.stderr.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk).slice(-4000)
    })
    child.on('error', (error) => end(null, error.message))
    child.on('close', (code) => end(code))
    // The program may end before it has read its input; its exit code tells the story.
    child.stdin.on('error', () => {})
    child.stdin.end(options.input ?? '')
  })
}
