/** Faithful fake vendors on loopback sockets: what the gateway talks to when a provider has no key, and in tests. */
import type { Clock } from '../../src/ports.ts'
import { createBilling, type MadeCharge } from './billing.ts'
import { createHosts } from './hosts.ts'
import { createIonet } from './ionet.ts'
import type { IonetControls } from './ionet-controls.ts'
import type { MarketOptions } from './market-controls.ts'
import { createOpenai } from './openai.ts'
import { type SandboxServer, startServer } from './server.ts'
import { createStripe, type StripeVendor } from './stripe.ts'
import { createStripeWebhooks, type StripeWebhooks } from './stripe-webhooks.ts'
import { createVast } from './vast.ts'
import type { VastControls } from './vast-controls.ts'

export type { Fault } from './faults.ts'
export type { SandboxServer } from './server.ts'

const names = ['openai', 'vastai', 'ionet', 'billing', 'stripe'] as const
type SandboxName = (typeof names)[number]

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
  /** How long a payment by bank takes to succeed; 0 = until it is told to. @default 2_000 */
  paymentProcessingMs?: number
  /** Signs Stripe's webhooks. @default one of its own */
  webhookSecret?: string | undefined
  /** The only credential each server takes; without one it takes any, and none. */
  keys?: Partial<Record<SandboxName, string>>
  /** Of the GPU markets: whether rented machines listen on loopback. @default true */
  hosts?: boolean
  /** Their other options. */
  market?: Pick<MarketOptions, 'provisioningMs' | 'loadingMs' | 'destroyDelayMs' | 'paced'>
}

interface SandboxServers extends Record<SandboxName, SandboxServer> {
  vastai: SandboxServer & VastControls
  ionet: SandboxServer & IonetControls
  billing: SandboxServer & { charges: readonly MadeCharge[] }
  stripe: SandboxServer & Pick<StripeVendor, 'intents' | 'settle'> & { webhooks: StripeWebhooks }
}

export interface Sandbox extends Partial<SandboxServers> {
  close(): Promise<void>
}

export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { clock, random, keys = {}, wordIntervalMs = 15, answerDelayMs = 0, paymentProcessingMs = 2_000 } = options
  const hosts = options.hosts === false ? undefined : createHosts({ clock, random, wordIntervalMs })
  const start: { [Name in SandboxName]: () => Promise<SandboxServers[Name]> } = {
    openai: () => {
      const vendor = createOpenai({ clock, random, key: keys.openai, wordIntervalMs, answerDelayMs })
      return startServer({ vendor, clock, random, basePath: '/v1' })
    },
    vastai: async () => {
      const vendor = createVast({ clock, key: keys.vastai, hosts, ...options.market })
      return { ...(await startServer({ vendor, clock, random })), ...vendor.controls }
    },
    ionet: async () => {
      const vendor = createIonet({ clock, key: keys.ionet, hosts, ...options.market })
      return { ...(await startServer({ vendor, clock, random })), ...vendor.controls }
    },
    billing: async () => {
      const vendor = createBilling({ clock, key: keys.billing })
      return { ...(await startServer({ vendor, clock, random })), charges: vendor.charges }
    },
    stripe: async () => {
      const webhooks = createStripeWebhooks({ clock, secret: options.webhookSecret })
      const vendor = createStripe({
        clock,
        key: keys.stripe,
        processingMs: paymentProcessingMs,
        onEvent: webhooks.add,
      })
      const server = await startServer({ vendor, clock, random })
      const close = async () => {
        webhooks.close()
        await server.close()
      }
      return { ...server, intents: vendor.intents, settle: vendor.settle, webhooks, close }
    },
  }
  const wanted = options.servers ?? names
  const started = await Promise.all(wanted.map(async (name) => [name, await start[name]()] as const))
  return {
    ...Object.fromEntries(started),
    async close() {
      await Promise.all(started.map(([, server]) => server.close()))
      await hosts?.close()
    },
  }
}
