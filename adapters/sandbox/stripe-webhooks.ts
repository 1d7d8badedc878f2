/**
 * Stripe's end of the webhooks: events are signed and sent to the one address, again while they are not taken. A test
 * holds them back and delivers them as it likes: late, twice, in another order, with a wrong secret, altered.
 */
import { createHmac, randomBytes } from 'node:crypto'
import type { Clock } from '../../src/ports.ts'
import type { SandboxIntent } from './stripe.ts'

export interface SandboxEvent {
  id: string
  type: string
  created: number
  data: { object: SandboxIntent }
}

export interface Delivery {
  /** How old the signature claims to be. @default 0 */
  ageS?: number
  /** What it is signed with. @default the right one */
  secret?: string
  /** Sent instead of what was signed. */
  body?: string
}

export interface StripeWebhooks {
  secret: string
  /** All of them, oldest first; the last 10,000. */
  events: readonly SandboxEvent[]
  /** Where to; until then, and while they are held, they only pile up. */
  sendTo(url: string): void
  /** From here on a test delivers them. */
  hold(): void
  /** Answers the status. */
  deliver(event: SandboxEvent, delivery?: Delivery): Promise<number>
  add(type: string, intent: SandboxIntent): void
  close(): void
}

const maxEvents = 10_000
const maxTries = 8
const firstWaitMs = 500

export function createStripeWebhooks(options: { clock: Clock; secret?: string | undefined }): StripeWebhooks {
  const { clock, secret = `whsec_${randomBytes(24).toString('hex')}` } = options
  const events: SandboxEvent[] = []
  const closing = new AbortController()
  let address: string | undefined
  let held = false

  async function deliver(event: SandboxEvent, delivery: Delivery = {}): Promise<number> {
    if (address === undefined) throw new Error('the sandbox was not told where webhooks go')
    const payload = JSON.stringify(event)
    const t = Math.floor(clock.wallNow() / 1000) - (delivery.ageS ?? 0)
    const v1 = createHmac('sha256', delivery.secret ?? secret)
      .update(`${t}.${payload}`)
      .digest('hex')
    const response = await fetch(address, {
      method: 'POST',
      headers: { 'content-type': 'application/json; charset=utf-8', 'stripe-signature': `t=${t},v1=${v1}` },
      body: delivery.body ?? payload,
      signal: AbortSignal.any([closing.signal, AbortSignal.timeout(10_000)]),
    })
    await response.arrayBuffer()
    return response.status
  }

  async function send(event: SandboxEvent, tries = 1): Promise<void> {
    // An address that does not answer is asked again, as one that answers no.
    const status = await deliver(event).catch(() => 0)
    if ((status >= 200 && status < 300) || tries >= maxTries || closing.signal.aborted) return
    clock.setTimer(firstWaitMs * 2 ** (tries - 1), () => void send(event, tries + 1))
  }

  return {
    secret,
    events,
    sendTo(url) {
      address = url
    },
    hold() {
      held = true
    },
    deliver,
    add(type, intent) {
      const id = `evt_${randomBytes(12).toString('hex')}`
      const event = { id, object: 'event', type, created: intent.created, livemode: false, data: { object: intent } }
      events.push(event)
      if (events.length > maxEvents) events.shift()
      if (address !== undefined && !held) void send(event)
    },
    close: () => closing.abort(),
  }
}
