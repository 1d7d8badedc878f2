/** Stored answers in the process's memory tier, by recent use and bounded by bytes. */
import type { MemoryTier } from '../memory-tier.ts'
import type { HttpCacheStore } from './http-cache.ts'
import type { StoredResponse } from './stored.ts'

/** Of tags that were purged; the oldest is forgotten, by when nothing as old is kept. */
const maxPurged = 10_000

export function createMemoryStore(memory: MemoryTier): HttpCacheStore {
  const purged = new Map<string, number>()
  const keyOf = (url: string) => `http:${url}`
  return {
    async get(url) {
      return (memory.get(keyOf(url))?.value as readonly StoredResponse[] | undefined) ?? []
    },
    async put(url, variants) {
      memory.set(keyOf(url), {
        value: variants,
        bytes: url.length + variants.reduce((sum, each) => sum + cost(each), 0),
      })
    },
    async delete(url) {
      memory.delete(keyOf(url))
    },
    async purge(tag, at) {
      purged.delete(tag)
      purged.set(tag, at)
      const [oldest] = purged.keys()
      if (purged.size > maxPurged && oldest !== undefined) purged.delete(oldest)
    },
    async purgedAt(tags) {
      return Math.max(0, ...tags.map((tag) => purged.get(tag) ?? 0))
    },
  }
}

const cost = ({ headers, body, vary }: StoredResponse) =>
  body.length + [...headers, ...vary].reduce((sum, [name, value]) => sum + name.length + (value?.length ?? 0), 0) * 2
