/** A market's control as the gateway makes it, every guard real, the market in this process, by one fake clock. */
import { createIonet } from '../../adapters/sandbox/ionet.ts'
import { createVast } from '../../adapters/sandbox/vast.ts'
import type { MarketName } from '../../src/domain/offer.ts'
import type { Clock, HttpClient, Metrics, Pace } from '../../src/ports.ts'
import { createIonetControl } from '../../src/providers/ionet-control.ts'
import type { MarketOptions } from '../../src/providers/market.ts'
import { createVastControl } from '../../src/providers/vast-control.ts'
import { createBackoff } from '../../src/resilience/backoff.ts'
import { createGuardedCall } from '../../src/upstream/guarded-call.ts'
import { createUpstream } from '../../src/upstream/upstream.ts'
import { FakeClock } from './fake-clock.ts'
import { FakeMetrics } from './fake-metrics.ts'
import { createInProcessVendor } from './in-process-vendor.ts'

/** One pod's: a turn at a time, each so long after the one before. */
export function createFakePace(clock: FakeClock): Pace {
  const free = new Map<string, number>()
  return {
    async take(key, intervalMs) {
      const waitMs = (free.get(key) ?? 0) - clock.now()
      if (waitMs > 0) return waitMs
      free.set(key, clock.now() + intervalMs)
      return 0
    },
  }
}

interface Parts {
  origin: string
  clock: Clock
  random: () => number
  http: HttpClient
  metrics: Metrics
}

/** What a market's clients are made of, as the gateway has it. */
export function marketParts(name: MarketName, { origin, ...parts }: Parts): MarketOptions {
  const { clock, random, metrics } = parts
  const upstream = createUpstream({
    name,
    clock,
    random,
    metrics,
    maxConcurrent: 4,
    retryBudgetRatio: 1,
    breaker: { failureThreshold: 0.6, minCalls: 10, openMs: 30_000, trialCalls: 3, trialLeaseMs: 10_000 },
    circuitName: (operation) => `${name}:${operation}`,
    onTransition() {},
  })
  const backoff = createBackoff({ random })
  const guardedCall = createGuardedCall({ clock, metrics, backoff, maxAttempts: 3, maxHintWaitMs: 3_000 })
  return { ...parts, baseUrl: origin, apiKey: undefined, upstream, guardedCall }
}

/** `elsewhereHttp`: for other addresses than the market's. @default `http` */
export const createControl = (name: MarketName, parts: Parts & { pace: Pace; elsewhereHttp?: HttpClient }) =>
  ({ vastai: createVastControl, ionet: createIonetControl })[name]({
    ...marketParts(name, parts),
    pace: parts.pace,
    elsewhereHttp: parts.elsewhereHttp ?? parts.http,
  })

/** `http`, `elsewhereHttp`: what answers in the market's stead, and for other addresses. */
export function marketControl<Name extends MarketName>(
  name: Name,
  clock = new FakeClock(),
  own: { http?: HttpClient; elsewhereHttp?: HttpClient } = {},
) {
  const random = () => 0
  const origin = `http://${name}.test`
  const vendor = { vastai: createVast, ionet: createIonet }[name]({ clock })
  const market = createInProcessVendor({ origin, vendor, clock, random })
  const { http = market.http, elsewhereHttp = market.http } = own
  const parts = { origin, clock, random, http, elsewhereHttp, metrics: new FakeMetrics(), pace: createFakePace(clock) }
  return { clock, market, vendor, control: createControl(name, parts), controls: vendor.controls }
}

/** Lets time pass until it is done. */
export async function passUntil<T>(clock: FakeClock, work: Promise<T>, stepMs = 100): Promise<T> {
  let done = false
  const end = () => {
    done = true
  }
  work.then(end, end)
  for (let n = 0; n < 10_000 && !done; n++) await clock.advance(stepMs)
  return work
}
