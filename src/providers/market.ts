/** What every GPU market's client has in common: one guarded GET or POST of JSON, and rows that may be odd. */
import type * as z from 'zod'
import type { MarketName, Offer } from '../domain/offer.ts'
import type { Clock, HttpCall, HttpClient } from '../ports.ts'
import { createDeadline } from '../resilience/deadline.ts'
import type { GuardedCall, Target } from '../upstream/guarded-call.ts'
import { checkStatus, UpstreamFailure } from '../upstream/outcome.ts'
import type { Upstream } from '../upstream/upstream.ts'

export interface Market {
  name: MarketName
  upstream: Upstream
  /** Everything that can be rented now. Bounds itself in time. */
  offers(): Promise<Offer[]>
}

export interface MarketOptions {
  /** Host root, as in `https://console.vast.ai`. */
  baseUrl: string
  apiKey: string | undefined
  http: HttpClient
  clock: Clock
  upstream: Upstream
  guardedCall: GuardedCall
  /** What prices are multiplied by, asked once a list; other than 1 in a game day only. @default 1 */
  priceFactor?: () => number
}

const restHeadersMs = 10_000
const slowMs = 2_000
const listLimitMs = 25_000
const maxListBytes = 32 * 1024 * 1024
const decoder = new TextDecoder()

/** Nobody's request: the answer is shared, so no caller's leaving may end it. The deadline does. */
const nobody = new AbortController().signal

/** A read of the market's list, guarded by the circuit `list`. */
export async function listCall(
  { baseUrl, http, clock, upstream, guardedCall }: MarketOptions,
  request: Pick<HttpCall, 'method' | 'path' | 'headers'> & { body?: string },
): Promise<unknown> {
  const { origin, pathname } = new URL(baseUrl)
  const target: Target<unknown> = {
    upstream,
    circuit: upstream.circuit('list'),
    tryTimeoutMs: restHeadersMs,
    slowMs,
    async send(signal) {
      const reply = await http.bytes({
        ...request,
        origin,
        path: (pathname === '/' ? '' : pathname) + request.path,
        headers: { 'accept-encoding': 'identity', 'user-agent': 'aiserve-gpuproxy', ...request.headers },
        signal,
        headersTimeoutMs: restHeadersMs,
        idleTimeoutMs: restHeadersMs,
        maxBytes: maxListBytes,
      })
      checkStatus(reply, clock.wallNow())
      if (reply.status !== 200) throw new UpstreamFailure('poison', { status: reply.status })
      return JSON.parse(decoder.decode(reply.body))
    },
  }
  const answer = await guardedCall([target], {
    deadline: createDeadline(clock, { limitMs: listLimitMs }),
    signal: nobody,
    repeat: 'idempotent',
    trace: { attempts: 0, waitedMs: 0 },
  })
  return answer.value
}

/** The offers of the rows that make sense. */
export function parseOffers<T>(
  { priceFactor }: MarketOptions,
  rows: readonly unknown[],
  schema: z.ZodType<T>,
  toOffer: (row: T) => Offer,
): Offer[] {
  const offers = parseRows(rows, schema).map(toOffer)
  const factor = priceFactor?.() ?? 1
  return factor === 1 ? offers : offers.map((offer) => dearer(offer, factor))
}

function dearer(offer: Offer, factor: number): Offer {
  const parts = Object.entries(offer.priceParts).map(([name, price]) => [name, price * factor])
  return { ...offer, priceMicroUsd: offer.priceMicroUsd * factor, priceParts: Object.fromEntries(parts) }
}

/** The rows that make sense. A market adds fields and oddities at any time; one odd row must not hide the others. */
export function parseRows<T>(rows: readonly unknown[], schema: z.ZodType<T>): T[] {
  return rows.flatMap((row) => {
    const parsed = schema.safeParse(row)
    return parsed.success ? [parsed.data] : []
  })
}
