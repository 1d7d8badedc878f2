/** The in-process tier: entries by recent use, bounded by bytes, shared by every cache of the process. */
export interface MemoryEntry {
  value: unknown
  /** What the entry costs; an estimate is fine, its absence is not. */
  bytes: number
}

export interface MemoryTier {
  get(key: string): MemoryEntry | undefined
  set(key: string, entry: MemoryEntry): void
  delete(key: string): void
  readonly bytes: number
  /** By cache: what a key says up to its first colon. */
  bytesByCache(): ReadonlyMap<string, number>
}

/** What an entry costs besides its value: key, map slots, the entry itself. */
const entryOverheadBytes = 200
/** Freed at once when full: the oldest entry is found by skipping the places of those that went before it. */
const freedShare = 1 / 32

export function createMemoryTier({ maxBytes }: { maxBytes: number }): MemoryTier {
  if (!(maxBytes > 0)) throw new TypeError(`maxBytes must be above 0, got ${maxBytes}`)
  let bytes = 0
  const entries = new Map<string, { entry: MemoryEntry; used: boolean }>()
  const byCache = new Map<string, number>()
  const cost = (entry: MemoryEntry) => entry.bytes + entryOverheadBytes
  const add = (key: string, more: number) => {
    bytes += more
    const cache = key.slice(0, key.indexOf(':'))
    byCache.set(cache, (byCache.get(cache) ?? 0) + more)
  }

  const remove = (key: string) => {
    const held = entries.get(key)
    if (!held) return
    add(key, -cost(held.entry))
    entries.delete(key)
  }

  /** Second chance: from the oldest on, what was used meanwhile goes to the end of the queue instead of out. */
  const shrinkTo = (target: number) => {
    for (const [key, held] of entries) {
      if (bytes <= target) return
      if (!held.used) {
        remove(key)
        continue
      }
      held.used = false
      entries.delete(key)
      entries.set(key, held)
    }
  }

  return {
    get(key) {
      const held = entries.get(key)
      // Only a mark: moving the entry at each use would cost the map more than the look-up.
      if (held) held.used = true
      return held?.entry
    },
    set(key, entry) {
      remove(key)
      const room = maxBytes - cost(entry)
      if (room < 0) return
      if (bytes > room) shrinkTo(Math.max(room - maxBytes * freedShare, 0))
      entries.set(key, { entry, used: false })
      add(key, cost(entry))
    },
    delete: remove,
    bytesByCache: () => byCache,
    get bytes() {
      return bytes
    },
  }
}
