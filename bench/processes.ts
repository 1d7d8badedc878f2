/** Starts the processes of a run, each on its core, and ends every one of them whatever happens. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

export interface Server {
  pid: number
  url: string
  stop(): Promise<void>
  /** Sends the signal and waits, however long it takes; null = it did not end by itself. */
  end(signal: NodeJS.Signals): Promise<number | null>
}

interface ChildOptions {
  command: readonly string[]
  env?: Record<string, string>
  cwd?: string
  /** Pins the process where the machine allows it; undefined = anywhere. */
  core?: number | undefined
  /** Standard output goes to this file, as a log would. */
  logFile?: string
}

const exec = promisify(execFile)
const live = new Set<ChildProcess>()
const startTimeoutMs = 60_000
const stopTimeoutMs = 15_000
const maxKeptOutput = 64 * 1024

/** Whether a server can have a core of its own: two cores, and a taskset to say so. */
export const canPin = await exec('taskset', ['--version']).then(
  () => cpus().length >= 2,
  () => false,
)

function start({ command, env, cwd, core, logFile }: ChildOptions): ChildProcess {
  const log = logFile && openSync(logFile, 'a')
  const [program = '', ...args] = canPin && core !== undefined ? ['taskset', '-c', String(core), ...command] : command
  // taskset turns into the program, so the pid is the program's own.
  const child = spawn(program, args, {
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env },
    stdio: ['ignore', log || 'pipe', 'pipe'],
    ...(cwd && { cwd }),
  })
  if (log) closeSync(log)
  live.add(child)
  child.once('exit', () => live.delete(child))
  child.once('error', () => live.delete(child))
  return child
}

/** Runs a program to its end and returns what it printed. */
export async function runChild(options: ChildOptions & { timeoutMs: number }): Promise<string> {
  const child = start(options)
  const output = collect(child)
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs)
  try {
    const [code, signal] = await once(child, 'close')
    if (code !== 0)
      throw new Error(`${options.command.join(' ')} ended with ${code ?? signal}: ${output.stderr.trim()}`)
    return output.stdout
  } finally {
    clearTimeout(timer)
  }
}

/** Starts a server and waits until it serves: `ready` finds its URL in a line it prints, or asks it. */
export async function startServer(
  options: ChildOptions & { name: string; ready: ((line: string) => string | undefined) | { url: string } },
): Promise<Server> {
  const { name, ready, logFile } = options
  const child = start(options)
  const output = collect(child)
  const failed = Promise.race([
    once(child, 'exit').then(([code, signal]) => {
      throw new Error(`${name} ended with ${code ?? signal}: ${(output.stderr || output.stdout).trim().slice(-2000)}`)
    }),
    sleep(startTimeoutMs, undefined, { ref: false }).then(() => {
      throw new Error(`${name} was not ready within ${startTimeoutMs / 1000} s: ${output.stderr.trim().slice(-2000)}`)
    }),
  ])
  failed.catch(() => {})
  const listening =
    typeof ready === 'object' ? answers(ready.url) : logFile ? findLogged(logFile, ready) : findPrinted(child, ready)
  const url = await Promise.race([listening, failed])
  return { pid: child.pid ?? 0, url, stop: () => stop(child), end: (signal) => end(child, signal) }
}

function collect(child: ChildProcess): { stdout: string; stderr: string } {
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      output[name] = (output[name] + text).slice(-maxKeptOutput)
    })
  }
  return output
}

/** The URL in the line that our own servers print when they listen. */
export function listeningUrl(line: string): string | undefined {
  if (!line.startsWith('{')) return undefined
  const { msg, url } = JSON.parse(line)
  return msg === 'listening' ? url : undefined
}

async function findLogged(file: string, ready: (line: string) => string | undefined): Promise<string> {
  for (;;) {
    const lines = (await readFile(file, 'utf8')).split('\n')
    // The last piece may be half a line.
    for (const line of lines.slice(0, -1)) {
      const url = ready(line)
      if (url !== undefined) return url
    }
    await sleep(50)
  }
}

function findPrinted(child: ChildProcess, ready: (line: string) => string | undefined): Promise<string> {
  return new Promise((resolve) => {
    let rest = ''
    const read = (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        const url = ready(line)
        if (url === undefined) continue
        child.stdout?.off('data', read)
        return resolve(url)
      }
    }
    child.stdout?.on('data', read)
  })
}

async function answers(url: string): Promise<string> {
  for (;;) {
    const response = await fetch(url).catch(() => undefined)
    await response?.arrayBuffer()
    if (response) return new URL(url).origin
    await sleep(50)
  }
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  const ended = once(child, 'exit')
  child.kill(signal)
  const [code] = await ended
  return code
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
  await ended
  clearTimeout(timer)
}

async function stopAll(): Promise<void> {
  await Promise.all([...live].map(stop))
}

/** Does `work` and then ends every server and cleans up, also when it fails or the user interrupts it. */
export async function supervise<T>(work: () => Promise<T>, cleanUp: () => Promise<void>): Promise<T> {
  let interrupted = false
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => {
      interrupted = true
      console.error('\nStopping the servers of this run …')
      void stopAll()
        .then(cleanUp)
        .finally(() => process.exit(code))
    })
  }
  try {
    return await work()
  } catch (error) {
    // What fails because its servers are being stopped is no news.
    if (interrupted) return new Promise<never>(() => {})
    throw error
  } finally {
    await stopAll()
    await cleanUp()
  }
}

/** Moves a running process with all its threads; what it started before stays where it was. */
export async function pin(pid: number, core: number): Promise<void> {
  if (canPin) await exec('taskset', ['-a', '-c', '-p', String(core), String(pid)])
}
