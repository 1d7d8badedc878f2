/**
 * Whether the pod takes on a request: by brownout level, and for inference by a place among the requests in flight,
 * shared fairly between keys. It stands before the body is read, so that a refusal costs next to nothing.
 *
 * The load is looked at when a request comes and the last look is old: who is asked nothing has nothing to shed.
 */

import type { Principal } from '../domain/principal.ts'
import { ApiError } from '../errors.ts'
import type { Clock, LoadProbe, Metrics } from '../ports.ts'
import { type BrownoutLevel, createBrownout, type Work } from '../resilience/brownout.ts'
import { BulkheadFull, createBulkhead, type Priority, type Release } from '../resilience/bulkhead.ts'
import { createLoadLimit } from '../resilience/load-limit.ts'
import { instruments } from '../telemetry/instruments.ts'
import { principalOf } from './authenticate.ts'
import type { Check } from './guard.ts'
import { type AppContext, header, type RequestInFlight } from './request-context.ts'

export interface AdmissionOptions {
  clock: Clock
  random: () => number
  metrics: Metrics
  /** Absent where the runtime cannot tell: nothing is shed then. */
  load?: LoadProbe | undefined
}

export interface Admission {
  /** The check to mount: inference takes a place, searches (and what inference routes only read) are shed first. */
  check(work: 'inference' | 'search'): Check
  /**
   * What a request for inference would be refused with at once, before there is anything of it; undefined = it has to
   * come in. Only of who was refused within the last second it is known whose the credential is.
   */
  turnAway(credentialDigest: string): TurnedAway | undefined
  /** Whether there is anyone to turn away: what is asked for each request. */
  turnsAway(): boolean
  level(): BrownoutLevel
  /** Requests waiting for a place. */
  waiting(): number
  /** Inference asked for so far, shed or not. */
  arrivals(): number
}

export interface TurnedAway {
  error: ApiError
  principal: Principal
}

/** Often enough to bite within a second, seldom enough to see more than one turn of a loop that is late. */
const sampleMs = 250
/**
 * Refusing a small completion costs two thirds of serving it, and keeping it waiting next to nothing: so many wait, and
 * long enough for a thousand who come at once to be served by few places.
 */
const maxWaitMs = 250
const maxQueue = 1_000
/** As many as there are places at least: whoever waits in a queue that stands makes all others late, and is refused dearly. */
const standing = { ms: 1_000, patienceMs: maxWaitMs, maxQueue: 8 }
/** More than a step of the limit: where one key has filled it, the others do not wait until it has been emptied so far. */
const reserve = 0.2
/** Of the time the caller gives. */
const maxWaitShare = 1 / 4
const retryAfterMs = { least: 1_000, spread: 2_000 }
/** So many different waits are told, at random. */
const refusalWaits = 64
/** Of a credential that was refused, how long it is known whose it is; and of how many. */
const turnAwayMs = 1_000
const maxTurnedAway = 10_000

export function createAdmission({ clock, random, metrics, load }: AdmissionOptions): Admission {
  const brownout = createBrownout({ clock })
  const loadLimit = createLoadLimit({ clock })
  const bulkhead = createBulkhead({ clock, limit: loadLimit.limit, maxQueue, reserve, standing })
  let sampledAt = clock.now()
  let peak = 0
  let arrivals = 0
  /** By the digest of their credential, the oldest first. */
  const refused = new Map<string, { principal: Principal; until: number }>()
  let turnsAwayUntil = -Infinity

  const look = () => {
    if (!load || clock.now() - sampledAt < sampleMs) return
    sampledAt = clock.now()
    if (sampledAt >= turnsAwayUntil) refused.clear()
    const now = load()
    brownout.sample(now)
    const limit = loadLimit.sample(now, { inFlight: bulkhead.inUse, peak })
    peak = bulkhead.inUse
    if (limit !== bulkhead.limit) bulkhead.resize(limit)
  }

  // Made beforehand: the stack trace alone would be a tenth of what a refusal costs.
  const refusals = Array.from({ length: refusalWaits }, (_, i) => {
    const waitMs = retryAfterMs.least + (i / (refusalWaits - 1)) * retryAfterMs.spread
    return new ApiError('overloaded', { retryAfterMs: Math.round(waitMs), shouldRetry: true })
  })
  const refusal = (reason: 'admission' | 'brownout') => {
    metrics.count(instruments.requestsShed, { reason })
    return refusals[Math.floor(random() * refusalWaits)]!
  }

  const shed = (c: AppContext, work: Work): undefined => {
    if (brownout.level === 0) return
    const request = c.get('request')
    request.headers['x-gpuproxy-brownout'] = String(brownout.level)
    if (!brownout.sheds(work)) return
    if (work === 'inference') remember(request)
    throw refusal('brownout')
  }

  const remember = ({ credentialDigest, principal }: RequestInFlight) => {
    if (credentialDigest === undefined || !principal) return
    refused.delete(credentialDigest)
    if (refused.size >= maxTurnedAway) refused.delete(refused.keys().next().value!)
    turnsAwayUntil = clock.now() + turnAwayMs
    refused.set(credentialDigest, { principal, until: turnsAwayUntil })
  }

  const takePlace = (c: AppContext, priority: Priority): undefined | Promise<void> => {
    const request = c.get('request')
    const give = (release: Release): undefined => {
      peak = Math.max(peak, bulkhead.inUse)
      request.onEnd(release)
    }
    const full = bulkhead.inUse >= bulkhead.limit
    const place = bulkhead.acquire({
      maxWaitMs: full ? patienceMs(c) : maxWaitMs,
      // Asking for it makes one.
      signal: () => c.req.raw.signal,
      key: principalOf(c).keyId,
      priority,
    })
    if (typeof place === 'function') return give(place)
    return place.then(give, (error) => {
      if (!(error instanceof BulkheadFull)) throw new ApiError('client_closed', { cause: error })
      remember(request)
      throw refusal('admission')
    })
  }

  return {
    check: (work) =>
      function admission(c) {
        look()
        // What ends a machine ends its cost: it is little work, and is done however busy the pod is.
        if (c.req.method === 'DELETE') return undefined
        if (work === 'search' || c.req.method === 'GET') return shed(c, 'search')
        const priority = priorityOf(c)
        arrivals++
        shed(c, priority === 'low' ? 'low_inference' : 'inference')
        return takePlace(c, priority)
      },
    turnsAway: () => clock.now() < turnsAwayUntil,
    turnAway(credentialDigest) {
      look()
      const known = refused.get(credentialDigest)
      if (!known || clock.now() >= known.until) return undefined
      const { principal } = known
      const reason = brownout.sheds('inference') ? 'brownout' : 'admission'
      if (reason === 'admission' && !bulkhead.refuse({ maxWaitMs, key: principal.keyId })) return undefined
      arrivals++
      return { error: refusal(reason), principal }
    },
    level() {
      look()
      return brownout.level
    },
    waiting: () => bulkhead.waiting,
    arrivals: () => arrivals,
  }
}

export function priorityOf(c: AppContext): Priority {
  const priority = header(c, 'x-gpuproxy-priority')
  if (priority === undefined || priority === 'normal' || priority === 'low') return priority ?? 'normal'
  throw new ApiError('invalid_header', { message: 'x-gpuproxy-priority must be "normal" or "low", or be left out.' })
}

/** A value that is not a number is refused by the route, which reads it for good. */
function patienceMs(c: AppContext): number {
  const callerMs = Number(header(c, 'x-request-timeout-ms') ?? Infinity)
  return callerMs > 0 ? Math.min(maxWaitMs, callerMs * maxWaitShare) : maxWaitMs
}
