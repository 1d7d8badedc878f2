/** The cache tier that pods share, in one process: for simulations of several pods, and as the measure of the others. */
import type { Clock, SharedCache, SharedListener } from '../../src/ports.ts'

interface Entry {
  value?: { text: string; version: string; loadedAt: number; until: number; tookMs: number } | undefined
  /** The latest token given. */
  token?: string | undefined
  leasedUntil: number
  othersWait: boolean
  failedAt: number
  restsUntil: number
}

export function createMemorySharedCache({ clock }: { clock: Clock }): SharedCache {
  const entries = new Map<string, Entry>()
  const listeners = new Set<SharedListener>()
  let lastToken = 0

  const entryOf = (key: string): Entry => {
    let entry = entries.get(key)
    if (!entry) {
      entry = { leasedUntil: -Infinity, othersWait: false, failedAt: -Infinity, restsUntil: -Infinity }
      entries.set(key, entry)
    }
    return entry
  }
  const ended = (key: string, entry: Entry) => {
    entry.leasedUntil = -Infinity
    if (entry.othersWait) for (const { onLoaded } of listeners) onLoaded(key)
    entry.othersWait = false
  }

  return {
    async read(key, { known, youngerThanMs, leaseMs }) {
      const now = clock.now()
      const entry = entryOf(key)
      const held = entry.value && now < entry.value.until ? entry.value : undefined
      const news =
        held && held.version !== known
          ? { value: held.text, version: held.version, ageMs: now - held.loadedAt, tookMs: held.tookMs }
          : undefined
      if (leaseMs === 0 || (news && news.ageMs < youngerThanMs)) return { entry: news, lease: { state: 'none' } }
      if (now < entry.restsUntil) return { entry: news, lease: { state: 'resting', forMs: entry.restsUntil - now } }
      if (now < entry.leasedUntil) {
        entry.othersWait = true
        return { entry: news, lease: { state: 'held', forMs: entry.leasedUntil - now } }
      }
      entry.token = String(++lastToken)
      entry.leasedUntil = now + leaseMs
      return { entry: news, lease: { state: 'granted', token: entry.token } }
    },
    async write(key, { value, token, ageMs, tookMs, ttlMs }) {
      const entry = entryOf(key)
      if (ageMs >= ttlMs) return undefined
      if (token !== undefined && entry.token !== token) return false
      const loadedAt = clock.now() - ageMs
      const version = token ?? String(++lastToken)
      entry.value = { text: value, version, loadedAt, until: loadedAt + ttlMs, tookMs }
      entry.failedAt = entry.restsUntil = -Infinity
      ended(key, entry)
      return true
    },
    async renew(key, token, leaseMs) {
      const entry = entryOf(key)
      if (entry.token !== token) return false
      entry.leasedUntil = clock.now() + leaseMs
      return true
    },
    async fail(key, token, restMs) {
      const entry = entryOf(key)
      if (entry.token !== token) return
      const now = clock.now()
      const isSecond = now - entry.failedAt < restMs
      if (isSecond) entry.restsUntil = now + restMs
      entry.failedAt = isSecond ? -Infinity : now
      ended(key, entry)
    },
    async invalidate(key) {
      entries.delete(key)
      for (const { onInvalidated } of listeners) onInvalidated(key)
      return true
    },
    listen: (listener) => void listeners.add(listener),
  }
}
