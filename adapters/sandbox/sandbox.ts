/** Faithful fake vendors on loopback sockets: what the gateway talks to when a provider has no key, and in tests. */
import type { Clock } from '../../src/ports.ts'
import { createIonet } from './ionet.ts'
import { createOpenai } from './openai.ts'
import { type SandboxServer, startServer } from './server.ts'
import { createVast } from './vast.ts'

export type { Fault } from './faults.ts'
export type { SandboxServer } from './server.ts'

type SandboxName = 'openai' | 'vastai' | 'ionet'

export interface SandboxOptions {
  clock: Clock
  /** Uniform in [0, 1). */
  random: () => number
  /** Which servers to start. @default all */
  servers?: readonly SandboxName[]
  /** Between two streamed words. @default 15 */
  wordIntervalMs?: number
  /** Before an answer that is not streamed. @default 0 */
  answerDelayMs?: number
  /** The only credential each server takes; without one it takes any, and none. */
  keys?: Partial<Record<SandboxName, string>>
}

export interface Sandbox extends Partial<Record<SandboxName, SandboxServer>> {
  close(): Promise<void>
}

export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { clock, random, keys = {}, wordIntervalMs = 15, answerDelayMs = 0 } = options
  const start = {
    openai: () => {
      const vendor = createOpenai({ clock, random, key: keys.openai, wordIntervalMs, answerDelayMs })
      return startServer({ vendor, clock, random, basePath: '/v1' })
    },
    vastai: () => startServer({ vendor: createVast({ clock, key: keys.vastai }), clock, random }),
    ionet: () => startServer({ vendor: createIonet({ key: keys.ionet }), clock, random }),
  }
  const names = options.servers ?? (['openai', 'vastai', 'ionet'] as const)
  const started = await Promise.all(names.map(async (name) => [name, await start[name]()] as const))
  return {
    ...Object.fromEntries(started),
    async close() {
      await Promise.all(started.map(([, server]) => server.close()))
    },
  }
}
