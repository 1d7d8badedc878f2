/**
 * Limits over the fleet. A store that all pods share keeps the counts; a pod leases a little of an allowance at a time
 * and gives it out without asking again, so that most requests touch no network, and what it holds is taken for spent
 * by everyone else. Leases are small beside the limit and go back after a second without use.
 *
 * Where the store does not answer, each pod goes on with its share of the limit by its own count.
 */
import type { Clock } from './clock.ts'
import { type Allowance, amountOf, type Claim, type ClaimSet, type Decision, type Limits, minuteMs } from './limits.ts'
import type { LocalLimits } from './local-limits.ts'

export interface LimitStore {
  /** False: it would not answer now. */
  readonly available: boolean
  /** Gives each demand at least its need, and up to what it wants; or nothing to any of them. */
  lease(group: string, demands: readonly Demand[]): Promise<Leased>
  /** Undoes leases in part; a negative amount takes more, whatever is left. */
  giveBack(group: string, returned: readonly Returned[]): Promise<void>
  /** Places still in use: they are lost when this is not told within `placeLeaseMs` of the lease. */
  renew(group: string, places: readonly { key: string; ids: readonly string[] }[]): Promise<void>
}

export interface Demand {
  claim: Claim
  need: number
  want: number
  /** Names for the places wanted, which must be no one else's. */
  ids: readonly string[]
}

export type Leased =
  | { refused: undefined; granted: readonly Granted[] }
  /** Index of the demand that could not be met. */
  | { refused: number; retryAfterMs: number; granted: readonly Granted[] }

export interface Granted extends Allowance {
  amount: number
}

export interface Returned {
  claim: Claim
  amount: number
  ids: readonly string[]
}

export interface LeasedLimitsOptions {
  clock: Clock
  store: LimitStore
  /** Decides while the store does not answer. */
  local: LocalLimits
  /** Pods there are. */
  pods: () => number
}

/** Of a pod that died, its places are free again after this. */
export const placeLeaseMs = 15_000
const renewEveryMs = placeLeaseMs / 3
const sweepMs = 250
/** Without use for this long, a lease goes back. */
const idleMs = 1_000
const idlePlaceMs = 250
/** A pod holds at most this share of a limit unused. */
const maxHeldShare = 0.01
/** What refused is not asked again before this, however long it said: another pod may give back, or free a place. */
const askAgainMs = { requests: 1_000, tokens: 1_000, places: 100 }
/** When to come back for one whom a crowd has left behind. */
const crowdRetryMs = 1_000
/** Askings of the store for one request, each answered in the time of one command. */
const maxRounds = 8
/** So many pods at least, when the limit is divided: the count may be stale. */
const leastShares = 3
const maxHolders = 100_000
/** Holders whose leases go back or are renewed in one sweep. */
const maxPerSweep = 200

/** What this pod holds of one allowance. */
interface Holder {
  claim: Claim
  group: string
  /** Rates: given out from here; below 0 it is owed. */
  held: number
  /** Places: free ones that are still leased. */
  free: string[]
  /** Places by the request that is in them. */
  busy: Map<string, string>
  /** What those who wait for the store need, together. */
  awaited: number
  /** To be leased next time, if there is that much. */
  batch: number
  leasedAt: number
  usedAt: number
  renewedAt: number
  /** What the store had left. */
  remaining: number
  wholeAt: number
  /** Until then the store is not asked for so much, or more. */
  refusedUntil: number
  refusedAmount: number
  /** When there is so much, if nothing is given back. */
  refilledAt: number
}

export interface LeasedLimits extends Limits {
  /** Gives back all that is not in use. */
  close(): Promise<void>
}

export function createLeasedLimits({ clock, store, local, pods }: LeasedLimitsOptions): LeasedLimits {
  const holders = new Map<string, Holder>()
  const flights = new Map<string, Promise<void>>()
  /** Requests that were decided on locally, and by which share. */
  const localRequests = new Map<string, ClaimSet>()
  /** A request may ask more than once, and its places go to others too: no name is used twice. */
  let named = 0
  let stopSweep: (() => void) | undefined

  function holderOf(claim: Claim, group: string): Holder {
    const found = holders.get(claim.key)
    if (found && found.claim.limit === claim.limit) return found
    const now = clock.now()
    const holder: Holder = {
      claim,
      group,
      held: 0,
      free: [],
      busy: found?.busy ?? new Map(),
      awaited: 0,
      batch: 1,
      leasedAt: -Infinity,
      usedAt: now,
      renewedAt: now,
      remaining: 0,
      wholeAt: now,
      refusedUntil: 0,
      refusedAmount: 0,
      refilledAt: 0,
    }
    if (found) void returnAll([found])
    holders.set(claim.key, holder)
    if (holders.size > maxHolders) dropOldest()
    stopSweep ??= clock.setTimer(sweepMs, sweep)
    return holder
  }

  /** What it held is lost until its minute is over, or its places' lease. */
  function dropOldest() {
    for (const [key, { busy, awaited }] of holders) {
      if (busy.size > 0 || awaited > 0) continue
      holders.delete(key)
      return
    }
  }

  const heldBy = ({ claim, held, free }: Holder) => (claim.unit === 'places' ? free.length : held)

  const allowanceOf = (holder: Holder, now: number): Allowance => ({
    remaining: Math.max(Math.floor(holder.remaining + heldBy(holder)), 0),
    resetMs: holder.claim.unit === 'places' ? 0 : Math.max(holder.wholeAt - now, 0),
  })
  const allowancesOf = (set: ClaimSet, now: number) =>
    set.claims.map((claim) => allowanceOf(holderOf(claim, set.group), now))

  /** Undefined = the store has to be asked. */
  function decide(set: ClaimSet, id: string, tokens: number): Decision | undefined {
    const now = clock.now()
    let short = false
    for (const claim of set.claims) {
      const holder = holderOf(claim, set.group)
      const amount = amountOf(claim, tokens)
      if (heldBy(holder) >= amount) continue
      if (now < holder.refusedUntil && amount >= holder.refusedAmount) {
        const retryAfterMs = holder.refilledAt - now
        return { refusedBy: claim, retryAfterMs, allowances: allowancesOf(set, now) }
      }
      short = true
    }
    if (short) return undefined
    for (const claim of set.claims) {
      const holder = holderOf(claim, set.group)
      holder.usedAt = now
      if (claim.unit === 'places') holder.busy.set(id, holder.free.pop()!)
      else holder.held -= amountOf(claim, tokens)
    }
    return { refusedBy: undefined, allowances: allowancesOf(set, now) }
  }

  /** What was leased has gone to others each time: no more than the limit is let in for that. */
  function refuseShort(set: ClaimSet, tokens: number): Decision {
    const refusedBy =
      set.claims.find((claim) => heldBy(holderOf(claim, set.group)) < amountOf(claim, tokens)) ?? set.claims[0]!
    return { refusedBy, retryAfterMs: crowdRetryMs, allowances: allowancesOf(set, clock.now()) }
  }

  /** One asking at a time and set: who comes meanwhile is thought of in the next. */
  function ask(set: ClaimSet, id: string, tokens: number): Promise<void> {
    const { key } = set.claims[0]!
    const flying = flights.get(key)
    if (flying) return flying
    const flight = lease(set, id, tokens).finally(() => flights.delete(key))
    flights.set(key, flight)
    return flight
  }

  async function lease(set: ClaimSet, id: string, tokens: number): Promise<void> {
    const askedAt = clock.now()
    const demands = set.claims.flatMap((claim): (Demand & { holder: Holder })[] => {
      const holder = holderOf(claim, set.group)
      const need = amountOf(claim, tokens) - heldBy(holder)
      if (need <= 0) return []
      if (claim.unit === 'places') {
        const want = Math.max(need, Math.min(holder.awaited, claim.limit))
        return [{ claim, holder, need, want, ids: Array.from({ length: want }, () => `${id}.${++named}`) }]
      }
      const most = Math.max(1, Math.floor(claim.limit * maxHeldShare))
      holder.batch = askedAt - holder.leasedAt < idleMs ? Math.min(holder.batch * 2, most) : 1
      const want = Math.max(need, Math.min(Math.max(holder.awaited - holder.held, holder.batch), claim.limit))
      return [{ claim, holder, need, want, ids: [] }]
    })
    // Others may have ended meanwhile.
    if (demands.length === 0) return
    const leased = await store.lease(set.group, demands)
    const now = clock.now()
    for (const [i, { holder, ids, claim }] of demands.entries()) {
      const { amount, remaining, resetMs } = leased.granted[i]!
      holder.remaining = remaining
      holder.wholeAt = now + resetMs
      if (leased.refused === i) {
        const retryMs = claim.unit === 'places' ? askAgainMs.places : leased.retryAfterMs
        holder.refilledAt = now + retryMs
        holder.refusedUntil = now + Math.min(retryMs, askAgainMs[claim.unit])
        holder.refusedAmount = amountOf(claim, tokens)
      } else if (amount > 0) {
        holder.leasedAt = now
        holder.usedAt = now
        // The oldest place says when to renew.
        if (holder.busy.size === 0 && holder.free.length === 0) holder.renewedAt = now
        if (claim.unit === 'places') holder.free.push(...ids.slice(0, amount))
        else holder.held += amount
      }
    }
  }

  async function takeFromStore(set: ClaimSet, id: string, tokens: number): Promise<Decision> {
    const waitedFor = set.claims.map((claim) => holderOf(claim, set.group))
    for (const holder of waitedFor) holder.awaited += amountOf(holder.claim, tokens)
    try {
      for (let round = 0; round < maxRounds && store.available; round++) {
        await ask(set, id, tokens)
        const decision = decide(set, id, tokens)
        if (decision) return decision
      }
      if (store.available) return refuseShort(set, tokens)
    } catch {
      // The store has told of its failure itself.
    } finally {
      for (const holder of waitedFor) holder.awaited -= amountOf(holder.claim, tokens)
    }
    return takeLocally(set, id, tokens)
  }

  function takeLocally(set: ClaimSet, id: string, tokens: number): Decision {
    const shares = Math.max(leastShares, pods())
    const claims = set.claims.map((claim) => ({ ...claim, limit: Math.max(claim.limit / shares, 1) }))
    const share = { ...set, claims }
    const decision = local.take(share, id, tokens)
    // The caller is told of its limit, not of this pod's share.
    if (decision.refusedBy) return { ...decision, refusedBy: set.claims[claims.indexOf(decision.refusedBy)]! }
    if (claims.some(({ unit }) => unit !== 'requests')) localRequests.set(id, share)
    return decision
  }

  function returnAll(idle: readonly Holder[]): Promise<unknown> {
    const groups = new Map<string, Returned[]>()
    for (const holder of idle) {
      const amount = heldBy(holder)
      if (amount === 0) continue
      const returned = groups.get(holder.group) ?? []
      groups.set(holder.group, returned)
      returned.push({ claim: holder.claim, amount, ids: holder.free })
      holder.held = 0
      holder.free = []
    }
    // Not given back is not lost: rates refill by themselves, and places that nobody renews run out.
    return Promise.allSettled([...groups].map(([group, returned]) => store.giveBack(group, returned)))
  }

  function sweep() {
    const now = clock.now()
    const idle: Holder[] = []
    const lasting: Holder[] = []
    for (const [key, holder] of holders) {
      if (idle.length + lasting.length >= maxPerSweep) break
      const { claim, busy } = holder
      if (busy.size > 0 && now - holder.renewedAt >= renewEveryMs) lasting.push(holder)
      if (holder.awaited > 0 || now - holder.usedAt < (claim.unit === 'places' ? idlePlaceMs : idleMs)) continue
      if (heldBy(holder) !== 0) idle.push(holder)
      else if (busy.size === 0 && now >= holder.refusedUntil) holders.delete(key)
    }
    if (store.available) {
      void returnAll(idle)
      // After what goes back, which must not come alive again.
      void renewAll(lasting, now)
    }
    stopSweep = holders.size > 0 ? clock.setTimer(sweepMs, sweep) : undefined
  }

  function renewAll(lasting: readonly Holder[], now: number): Promise<unknown> {
    const groups = new Map<string, { key: string; ids: string[] }[]>()
    for (const holder of lasting) {
      holder.renewedAt = now
      const places = groups.get(holder.group) ?? []
      groups.set(holder.group, places)
      places.push({ key: holder.claim.key, ids: [...holder.busy.values(), ...holder.free] })
    }
    // The next sweep but a few tries again, in good time.
    return Promise.allSettled([...groups].map(([group, places]) => store.renew(group, places)))
  }

  return {
    take(set, id, tokens = 0) {
      const decision = decide(set, id, tokens)
      if (decision) return decision
      return store.available ? takeFromStore(set, id, tokens) : takeLocally(set, id, tokens)
    },
    end(set, id, tokens) {
      const share = localRequests.get(id)
      if (share) {
        localRequests.delete(id)
        local.end(share, id, tokens)
        return
      }
      for (const claim of set.claims) {
        if (claim.unit === 'requests') continue
        const holder = holderOf(claim, set.group)
        if (claim.unit === 'places') {
          const place = holder.busy.get(id)
          if (place === undefined) continue
          holder.busy.delete(id)
          holder.free.push(place)
          holder.usedAt = clock.now()
        } else if (tokens) {
          holder.held += amountOf(claim, tokens.expected) - tokens.used
          // What was refused may fit now.
          holder.refusedUntil = 0
        }
      }
    },
    async close() {
      stopSweep?.()
      await returnAll([...holders.values()])
    },
  }
}

/** What a rate's amount is in the time that its allowance takes to come back. */
export const refillMs = ({ limit }: Claim, amount: number) => (amount * minuteMs) / limit
