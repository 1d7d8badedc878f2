/**
 * What Stripe sends us (docs.stripe.com/webhooks#verify-manually). Nothing in it counts before its signature does: the
 * HMAC-SHA256 of the timestamp, a point and the raw body. While a secret is changed there are several signatures.
 */
import * as z from 'zod'
import { joined } from '../domain/joined.ts'
import { type Intent, toIntent } from './stripe.ts'

export interface StripeWebhook {
  /** Of the right form and not too old: worth reading a body for. */
  isPlausible(signature: string): boolean
  /** Undefined: not signed by Stripe, or not now. Throws where it was, and is no event. */
  read(signature: string, body: Uint8Array): Promise<StripeEvent | undefined>
}

export interface StripeEvent {
  id: string
  type: string
  /** Of the types that are about our payments, as they say it stands. */
  intent: Intent | undefined
}

const toleranceS = 300
const maxSignatures = 8
const encoder = new TextEncoder()
const decoder = new TextDecoder()

export function createStripeWebhook({ secret, wallNow }: { secret: string; wallNow: () => number }): StripeWebhook {
  const hmac = { name: 'HMAC', hash: 'SHA-256' }
  let imported: Promise<CryptoKey> | undefined

  const parse = (signature: string) => {
    const parsed = parseSignature(signature)
    return parsed && Math.abs(wallNow() / 1000 - parsed.atS) <= toleranceS ? parsed : undefined
  }

  return {
    isPlausible: (signature) => parse(signature) !== undefined,
    async read(signature, body) {
      const parsed = parse(signature)
      if (!parsed) return undefined
      imported ??= crypto.subtle.importKey('raw', encoder.encode(secret), hmac, false, ['verify'])
      const key = await imported
      const signed = joined([encoder.encode(`${parsed.time}.`), body])
      // In constant time, by the platform.
      const each = await Promise.all(parsed.v1.map((bytes) => crypto.subtle.verify('HMAC', key, bytes, signed)))
      return each.includes(true) ? toEvent(JSON.parse(decoder.decode(body))) : undefined
    },
  }
}

/** `t=<unix seconds>,v1=<hex>,…`; other schemes stand beside and say nothing. */
function parseSignature(signature: string) {
  const parts = signature.slice(0, 2_000).split(',')
  const valuesOf = (name: string) =>
    parts.flatMap((part) => (part.startsWith(`${name}=`) ? part.slice(name.length + 1) : []))
  const [time] = valuesOf('t')
  const v1 = valuesOf('v1').filter((hex) => /^[0-9a-f]{64}$/.test(hex))
  if (time === undefined || !/^\d{1,12}$/.test(time) || v1.length === 0) return undefined
  return { time, atS: Number(time), v1: v1.slice(0, maxSignatures).map(fromHex) }
}

const fromHex = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16))

const event = z.object({ id: z.string(), type: z.string(), data: z.object({ object: z.unknown() }) })

/** What a type says of the payment, whatever else the object holds. */
const states: Record<string, Intent['state']> = {
  'payment_intent.succeeded': 'succeeded',
  'payment_intent.payment_failed': 'failed',
  'payment_intent.processing': 'processing',
  'payment_intent.requires_action': 'requires_action',
  'payment_intent.canceled': 'canceled',
}

function toEvent(value: unknown): StripeEvent {
  const { id, type, data } = event.parse(value)
  const state = Object.hasOwn(states, type) ? states[type] : undefined
  return { id, type, intent: state && { ...toIntent(data.object), state } }
}
