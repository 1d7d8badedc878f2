/** The in-process tier: entries by recent use, bounded by bytes, shared by every cache of the process. */
import QuickLRU from 'quick-lru'

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
}

/** What an entry costs besides its value: key, map slots, the entry itself. */
const entryOverheadBytes = 200

export function createMemoryTier({ maxBytes }: { maxBytes: number }): MemoryTier {
  if (!(maxBytes > 0)) throw new TypeError(`maxBytes must be above 0, got ${maxBytes}`)
  let bytes = 0
  const cost = (entry: MemoryEntry) => entry.bytes + entryOverheadBytes
  // The bound is bytes, so the library's bound on entries is out of reach. Its recency is by generation: an eviction
  // starts a new one, into which entries move when they are next used.
  const entries = new QuickLRU<string, MemoryEntry>({
    maxSize: Number.MAX_SAFE_INTEGER,
    onEviction: (_key, entry) => {
      bytes -= cost(entry)
    },
  })

  const remove = (key: string) => {
    const entry = entries.peek(key)
    if (!entry) return
    bytes -= cost(entry)
    entries.delete(key)
  }

  return {
    get: (key) => entries.get(key),
    set(key, entry) {
      remove(key)
      if (cost(entry) > maxBytes) return
      entries.set(key, entry)
      bytes += cost(entry)
      // Half at a time: an eviction copies the keys, which must not happen at each insertion.
      while (bytes > maxBytes) entries.evict(Math.ceil(entries.size / 2))
    },
    delete: remove,
    get bytes() {
      return bytes
    },
  }
}
