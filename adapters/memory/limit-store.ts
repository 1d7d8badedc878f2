/** The store of a fleet's limits within one process: for simulations of several pods. */
import type { Clock, LimitStore } from '../../src/ports.ts'
import { placeLeaseMs } from '../../src/resilience/leased-limits.ts'
import { maxOwedMs, minuteMs } from '../../src/resilience/limits.ts'

const roundingMs = 1e-3

export interface MemoryLimitStore extends LimitStore {
  /** While false every call fails. */
  available: boolean
}

export function createMemoryLimitStore({ clock }: { clock: Clock }): MemoryLimitStore {
  const wholeAt = new Map<string, number>()
  /** When each place runs out, by its name. */
  const places = new Map<string, Map<string, number>>()

  const usedMs = (key: string) => Math.max((wholeAt.get(key) ?? 0) - clock.now(), 0)
  const takenOf = (key: string) => {
    const taken = places.get(key) ?? new Map<string, number>()
    places.set(key, taken)
    for (const [name, until] of taken) if (until <= clock.now()) taken.delete(name)
    return taken
  }

  const store: MemoryLimitStore = {
    available: true,
    async lease(_group, demands) {
      if (!store.available) throw new Error('the store is gone')
      const left = demands.map(({ claim: { unit, key, limit } }) =>
        unit === 'places' ? limit - takenOf(key).size : ((minuteMs + roundingMs - usedMs(key)) * limit) / minuteMs,
      )
      const refused = demands.findIndex(({ need }, i) => left[i]! < need)
      const granted = demands.map(({ claim: { unit, key, limit }, want, ids }, i) => {
        const amount = refused < 0 ? Math.max(Math.floor(Math.min(want, left[i]!)), 0) : 0
        if (unit === 'places')
          for (const name of ids.slice(0, amount)) takenOf(key).set(name, clock.now() + placeLeaseMs)
        else wholeAt.set(key, clock.now() + usedMs(key) + (amount * minuteMs) / limit)
        const remaining = Math.max(Math.floor(left[i]! - amount), 0)
        return { amount, remaining, resetMs: unit === 'places' ? 0 : usedMs(key) }
      })
      if (refused < 0) return { refused: undefined, granted }
      const { claim, need } = demands[refused]!
      const waitMs = claim.unit === 'places' ? 1_000 : ((need - left[refused]!) * minuteMs) / claim.limit + roundingMs
      return { refused, retryAfterMs: waitMs, granted }
    },
    async giveBack(_group, returned) {
      if (!store.available) throw new Error('the store is gone')
      for (const { claim, amount, ids } of returned) {
        if (claim.unit === 'places') for (const name of ids) takenOf(claim.key).delete(name)
        else {
          const used = usedMs(claim.key) - (amount * minuteMs) / claim.limit
          wholeAt.set(claim.key, clock.now() + Math.min(used, minuteMs + maxOwedMs))
        }
      }
    },
    async renew(_group, held) {
      if (!store.available) throw new Error('the store is gone')
      for (const { key, ids } of held) for (const name of ids) takenOf(key).set(name, clock.now() + placeLeaseMs)
    },
  }
  return store
}
