/**
 * get-or-load over two tiers, this pod's memory and one that all pods share. Fresh values are answered at once; stale
 * ones at once too, while one load renews them in the background; a failed load is covered by the last good value for a
 * while. However many ask, one key has one load under way: in the pod by a flight that all share, over the pods by a
 * lease. Who waits for another pod's load takes over when that pod falls silent. Without the shared tier, or while it
 * does not answer, each pod loads for itself.
 */
import type { SharedEntry } from '../ports.ts'
import type { Clock } from '../resilience/clock.ts'
import { createFreshness, type Freshness, type FreshnessOptions } from './freshness.ts'
import type { CacheKey, KeyScope } from './keys.ts'
import type { MemoryTier } from './memory-tier.ts'
import type { SharedTier } from './shared-tier.ts'

/** Where the value came from. `bypass`: loaded because the caller would take nothing older. */
export type CacheResult = 'memory' | 'redis' | 'stale' | 'miss' | 'bypass'

const fromNearToFar: readonly CacheResult[] = ['memory', 'redis', 'stale', 'miss', 'bypass']

/** What an answer of several values has to say of itself. */
export function farthest(results: readonly CacheResult[]): CacheResult {
  let far = 0
  for (const result of results) far = Math.max(far, fromNearToFar.indexOf(result))
  return fromNearToFar[far]!
}

export interface Cached<T> {
  value: T
  result: CacheResult
  /** Since the value was loaded. */
  ageMs: number
}

export interface CacheOptions<T, S extends KeyScope> extends FreshnessOptions {
  /** Prefix of its keys and its name in metrics. */
  name: string
  /** Whose values it holds; it takes only their keys. Those of `credential` are as old as the question for them. */
  scope: S
  clock: Clock
  /** Uniform in [0, 1). */
  random: () => number
  memory: MemoryTier
  /** What stands behind a secret never leaves the pod. @default memory only */
  shared?: (S extends 'credential' ? never : SharedOptions) | undefined
  /** A value that says that there is nothing: fresh for 2 s at most, and never stale. @default none does */
  isNegative?: (value: T) => boolean
  /** After a failed load, how long its stale value is answered without another. @default 1_000 */
  retryAfterErrorMs?: number
  /** After an error that says nothing of the source, how long this pod waits, and no other one. @default none is such */
  ownWaitMs?: (error: unknown) => number | undefined
  /** Size of a value in memory. */
  bytesOf: (value: T) => number
  /** Told of each look-up. */
  onLookup?: (result: CacheResult | 'error') => void
}

export interface SharedOptions {
  tier: SharedTier
  /** Of the values, which travel as JSON: another number for another shape, so that no pod misreads what a newer one wrote. */
  layout: number
  /** Longest time in the shared tier, whatever the freshness says. @default no limit */
  ttlMs?: number
}

export interface Cache<T, S extends KeyScope> {
  /**
   * `maxAgeMs`: what is older is loaded anew, by the same flight and lease as any other load. `load` must bound itself.
   * @throws what `load` throws, where there is no value to cover for it; SourceResting where others have failed just now.
   */
  get(key: CacheKey<S>, load: () => Promise<T>, maxAgeMs?: number): Cached<T> | Promise<Cached<T>>
  /** Drops the value in every pod, and whatever loads of it are under way bring. False: other pods may not know yet. */
  invalidate(key: CacheKey<S>): Promise<boolean>
}

/** Loads have failed in other pods, and this one is to wait. */
export class SourceResting extends Error {
  override name = 'SourceResting'
  readonly forMs: number
  constructor(forMs: number) {
    super(`loads have failed; the next in ${Math.ceil(forMs)} ms`)
    this.forMs = forMs
  }
}

interface Stored<T> extends Freshness {
  value: T
  /** Of the shared tier, where it is held there too. */
  version: string | undefined
  epoch: number
  /** Not to be loaded again before this. */
  notBefore: number
}

/** A load that failed with nothing to cover for it. */
interface Failed {
  error: unknown
  until: number
}

interface Flight<T> {
  answer: Promise<Found<T>>
  /** Its end: a stale answer may come long before. */
  done: Promise<void>
  /** As when it began: after a gap an invalidation may have been missed, and nobody joins it who comes then. */
  epoch: number
  /** The key was invalidated meanwhile: what it brings is for those who wait, and not to be kept. */
  outdated: boolean
}

interface Found<T> {
  stored: Stored<T>
  result: CacheResult
}

/** What a remembered failure costs in memory, roughly. */
const failureBytes = 500
/** A pod that is gone is missed after this long. The holder renews three times as often. */
const leaseMs = 3_000
/** Longest load that keeps its lease. */
const maxLeadMs = 30_000
/** How often one who waits for another pod's load asks, though it should be told. */
const pollMs = 250
/** After so long it loads by itself. */
const maxFollowMs = 2 * maxLeadMs
/** A value larger than this as JSON stays in the pod. */
const maxSharedChars = 4 * 1024 * 1024

export function createCache<T, S extends KeyScope>(options: CacheOptions<T, S>): Cache<T, S> {
  const { name, clock, random, memory, freshMs, retryAfterErrorMs = 1_000, bytesOf, isNegative, onLookup } = options
  const { scope, ownWaitMs } = options
  const shared: SharedOptions | undefined = options.shared
  const tier = shared?.tier
  const sharedPrefix = `${name}:${shared?.layout}:`
  const freshness = createFreshness(options, random)
  const flights = new Map<string, Flight<T>>()
  /** What the memory holds of a key. */
  type Held = Stored<T> | Failed | undefined

  const ground = (key: string) => {
    const flight = flights.get(key)
    if (flight) flight.outdated = true
    flights.delete(key)
  }
  const forget = (rawKey: string) => {
    const key = `${name}:${rawKey}`
    memory.delete(key)
    ground(key)
  }
  tier?.onInvalidated(sharedPrefix, forget)

  const answer = (stored: Stored<T>, result: CacheResult, now: number): Cached<T> => {
    onLookup?.(result)
    return { value: stored.value, result, ageMs: now - stored.loadedAt }
  }

  const toStored = (value: T, loadedAt: number, tookMs: number, version?: string): Stored<T> => {
    const times = freshness.of(loadedAt, tookMs, clock.now(), isNegative?.(value) ?? false)
    return { ...times, value, version, epoch: tier?.epoch ?? 0, notBefore: loadedAt }
  }

  function toHeld(entry: SharedEntry, askedAt: number): Stored<T> | undefined {
    try {
      // As old as it may be: it aged on the way, too.
      return toStored(JSON.parse(entry.value) as T, askedAt - entry.ageMs, entry.tookMs, entry.version)
    } catch {
      return undefined // What cannot be read is a miss.
    }
  }

  const flightOf = (key: string) => {
    const flight = flights.get(key)
    return flight?.epoch === (tier?.epoch ?? 0) ? flight : undefined
  }

  /** The one load of a key in this pod. `known` may cover for its failure. */
  function fly(
    rawKey: string,
    key: string,
    known: Stored<T> | undefined,
    load: () => Promise<T>,
    youngerThanMs: number,
  ) {
    const flying = flightOf(key)
    if (flying) return flying
    ground(key)
    const { promise, resolve, reject } = Promise.withResolvers<Found<T>>()
    promise.catch(() => {}) // Nobody may be waiting.
    const end = Promise.withResolvers<void>()
    const flight: Flight<T> = { answer: promise, done: end.promise, epoch: tier?.epoch ?? 0, outdated: false }
    flights.set(key, flight)
    let cover = known

    const keep = (stored: Stored<T>) => {
      if (!flight.outdated) memory.set(key, { value: stored, bytes: bytesOf(stored.value) })
    }

    async function lead(token: string | undefined) {
      const from = clock.now()
      const epoch = tier?.epoch ?? 0
      const sharedKey = sharedPrefix + rawKey
      const stopRenewing = tier && token !== undefined ? renewing(tier, sharedKey, token) : undefined
      let value: T
      try {
        value = await load()
      } catch (error) {
        const restMs = ownWaitMs?.(error) === undefined ? retryAfterErrorMs : 0
        if (token !== undefined) void tier?.fail(sharedKey, token, restMs)
        throw error
      } finally {
        stopRenewing?.()
      }
      const now = clock.now()
      // What stands behind a secret is dated when it was asked for: a slow answer may be of before a revocation.
      const loadedAt = scope === 'credential' ? from : now
      const stored = { ...toStored(value, loadedAt, now - from), epoch }
      keep(stored)
      resolve({ stored, result: 'miss' })
      if (!tier || token === undefined) return
      const text = JSON.stringify(value)
      // The lease goes back, for each of the others has to load it, too.
      if (text.length > maxSharedChars) return tier.fail(sharedKey, token, 0)
      const ttlMs = Math.min(freshness.lifeMs(isNegative?.(value) ?? false), shared?.ttlMs ?? Infinity)
      const ageMs = clock.now() - loadedAt
      const written = await tier.write(sharedKey, { value: text, token, ageMs, tookMs: stored.tookMs, ttlMs })
      if (written) stored.version = token
      // Another pod has begun later, or the value was invalidated.
      if (written === false && memory.get(key)?.value === stored) memory.delete(key)
    }

    async function join(tier: SharedTier) {
      const sharedKey = sharedPrefix + rawKey
      for (const from = clock.now(); ; ) {
        const askedAt = clock.now()
        // After a gap, and after the pod's own time with it, the value that is held here has to be seen there again.
        const sure = cover?.epoch === tier.epoch && askedAt < cover.localUntil ? cover : undefined
        const read = await tier.read(sharedKey, {
          known: sure?.version,
          // What is older than that which is held here is no news.
          youngerThanMs: sure ? Math.min(youngerThanMs, askedAt - sure.loadedAt) : youngerThanMs,
          leaseMs,
        })
        if (!read) return lead(undefined)
        const entry = read.entry && toHeld(read.entry, askedAt)
        const now = clock.now()
        if (entry && now < entry.coverUntil && !(sure && sure.loadedAt >= entry.loadedAt)) {
          cover = entry
          keep(entry)
          if (read.lease.state === 'none') return resolve({ stored: entry, result: 'redis' })
          if (now < entry.staleUntil && youngerThanMs >= freshMs) resolve({ stored: entry, result: 'stale' })
        }
        switch (read.lease.state) {
          case 'none':
            return lead(undefined)
          case 'granted':
            return lead(read.lease.token)
          case 'resting':
            throw new SourceResting(read.lease.forMs)
          case 'held':
            if (now - from > maxFollowMs) return lead(undefined)
            await tier.wait(sharedKey, Math.min(read.lease.forMs + 1, pollMs) * (0.8 + 0.4 * random()))
        }
      }
    }

    const run = async () => {
      try {
        await (tier ? join(tier) : lead(undefined))
      } catch (error) {
        const now = clock.now()
        const restMs = error instanceof SourceResting ? error.forMs : (ownWaitMs?.(error) ?? retryAfterErrorMs)
        const until = now + restMs
        if (cover && now < cover.coverUntil) {
          cover.notBefore = until
          resolve({ stored: cover, result: 'stale' })
        } else {
          if (!flight.outdated) memory.set(key, { value: { error, until } satisfies Failed, bytes: failureBytes })
          reject(error)
        }
      } finally {
        if (flights.get(key) === flight) flights.delete(key)
        end.resolve()
      }
    }
    void run()
    return flight
  }

  function renewing(tier: SharedTier, sharedKey: string, token: string): () => void {
    const until = clock.now() + maxLeadMs
    let cancel = () => {}
    const next = () => {
      cancel = clock.setTimer(leaseMs / 3, () => {
        if (clock.now() >= until) return
        void tier.renew(sharedKey, token, leaseMs)
        next()
      })
    }
    next()
    return () => cancel()
  }

  /** Everything but a value that is fresh for certain. */
  function consider(
    rawKey: string,
    held: Held,
    load: () => Promise<T>,
    maxAgeMs: number | undefined,
  ): Cached<T> | Promise<Cached<T>> {
    const key = `${name}:${rawKey}`
    const now = clock.now()
    if (held && 'error' in held && now < held.until) {
      onLookup?.('error')
      return Promise.reject(held.error)
    }
    const stored = held && 'loadedAt' in held ? held : undefined
    const isSure = stored?.epoch === (tier?.epoch ?? 0)
    const cover = stored && now < stored.coverUntil ? stored : undefined
    const youngerThanMs = Math.min(maxAgeMs ?? freshMs, freshMs)
    if (stored && isSure && now < stored.freshUntil && now - stored.loadedAt < (maxAgeMs ?? Infinity)) {
      const isEarly = now >= stored.notBefore && !flightOf(key) && freshness.isEarly(stored, now)
      if (isEarly) fly(rawKey, key, cover, load, youngerThanMs)
      return answer(stored, 'memory', now)
    }
    if (cover && now < cover.notBefore) return answer(cover, 'stale', now)
    const isJoined = flightOf(key) !== undefined
    const flight = fly(rawKey, key, cover, load, youngerThanMs)
    if (stored && isSure && maxAgeMs === undefined && now < stored.staleUntil) return answer(stored, 'stale', now)

    const settle = ({ stored, result }: Found<T>): Cached<T> | Promise<Cached<T>> => {
      const now = clock.now()
      // The flight was begun for another, who took an older value, maybe long ago: its end is waited for, and the next.
      const isTooOld =
        maxAgeMs === undefined
          ? result === 'stale' && now >= stored.staleUntil && now >= stored.notBefore
          : now - stored.loadedAt >= maxAgeMs
      if (isJoined && isTooOld) {
        return flight.done.then(() => consider(rawKey, memory.get(key)?.value as Held, load, maxAgeMs))
      }
      return answer(stored, maxAgeMs !== undefined && result === 'miss' ? 'bypass' : result, now)
    }
    return flight.answer.then(settle, (error) => {
      onLookup?.('error')
      throw error
    })
  }

  return {
    get(rawKey, load, maxAgeMs) {
      const held = memory.get(`${name}:${rawKey}`)?.value as Held
      if (held && 'loadedAt' in held && maxAgeMs === undefined && (!tier || held.epoch === tier.epoch)) {
        const now = clock.now()
        if (now < held.earlyFrom) return answer(held, 'memory', now)
      }
      return consider(rawKey, held, load, maxAgeMs)
    },
    async invalidate(rawKey) {
      forget(rawKey)
      return tier ? tier.invalidate(sharedPrefix + rawKey) : true
    },
  }
}
