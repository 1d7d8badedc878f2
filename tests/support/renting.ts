/** Renting at the sandbox's Vast.ai over real HTTP, every part real but the database and the search. */
import { newId } from '../../adapters/node/identity.ts'
import type { RentalOffer } from '../../src/domain/rental.ts'
import type { GatewayOptions } from '../../src/gateway.ts'
import type { Clock } from '../../src/ports.ts'
import { createVastControl } from '../../src/providers/vast-control.ts'
import { createBackoff } from '../../src/resilience/backoff.ts'
import { systemClock } from '../../src/resilience/clock.ts'
import type { OfferBook } from '../../src/services/offer-book.ts'
import { createRenting } from '../../src/services/renting.ts'
import { createGuardedCall } from '../../src/upstream/guarded-call.ts'
import { createUpstream } from '../../src/upstream/upstream.ts'
import { FakeMetrics } from './fake-metrics.ts'
import type { RentingParts } from './gateway.ts'

/** Goes so many times as fast as the machine's: what waits by it waits less. */
export function hurriedClock(times: number): Clock {
  const wall = systemClock.wallNow()
  const from = systemClock.now()
  const now = () => from + (systemClock.now() - from) * times
  return {
    now,
    wallNow: () => wall + now() - from,
    setTimer: (ms, fn) => systemClock.setTimer(ms / times, fn),
  }
}

export function startTestRenting(parts: RentingParts, offers: readonly RentalOffer[]) {
  const { clock, http, rentals, turns, sightings, sandbox } = parts
  const random = Math.random
  const metrics = new FakeMetrics()
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const upstream = createUpstream({
    name: 'vastai',
    clock,
    random,
    metrics,
    maxConcurrent: 4,
    retryBudgetRatio: 1,
    breaker: { failureThreshold: 0.6, minCalls: 10, openMs: 30_000, trialCalls: 3, trialLeaseMs: 10_000 },
    circuitName: (operation) => `vastai:${operation}`,
    onTransition() {},
  })
  const backoff = createBackoff({ random })
  const control = createVastControl({
    baseUrl: sandbox.vastai.baseUrl,
    apiKey: undefined,
    http,
    clock,
    upstream,
    guardedCall: createGuardedCall({ clock, metrics, backoff, maxAttempts: 3, maxHintWaitMs: 3_000 }),
    pace: { take: async () => 0 },
  })
  const taken = new Set<string>()
  const book: OfferBook = {
    find: async (id) => offers.find((each) => each.id === id),
    pick: async ({ maxPriceMicroUsd = Number.POSITIVE_INFINITY }, { limit, without }) =>
      offers
        .filter(({ id, pricePerHour }) => !taken.has(id) && !without.includes(id) && pricePerHour <= maxPriceMicroUsd)
        .slice(0, limit),
    taken: (id) => void taken.add(id),
  }
  const { desk, instances, reservations, start, stop } = createRenting({
    clock,
    random,
    newId,
    rentals,
    turns,
    sightings,
    accounts: { listApiKeys: async () => [] },
    offers: book,
    controls: [control],
    fleet: '0123abcd',
    holder: 'me',
    mode: { readOnly: false },
    metrics,
    log,
  })
  start()
  const renting: GatewayOptions['renting'] = { desk, instances, reservations }
  return { renting, rentals, stop: () => stop({ timeoutMs: 1_000 }) }
}
