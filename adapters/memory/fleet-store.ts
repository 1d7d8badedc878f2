/** A fleet's board in the process, for pods that live in one: simulations and contract tests. */
import type { Clock } from '../../src/resilience/clock.ts'
import { type Beat, type FleetStore, type Push, type StoredWord, silentMs } from '../../src/resilience/fleet-store.ts'

export interface MemoryFleetStore extends FleetStore {
  /** As a server that is started again without its data. */
  forget(): void
  /** Whose a claim is now, also after the store has forgotten it. */
  holder(what: string): string | undefined
}

export function createMemoryFleetStore({ clock }: { clock: Clock }): MemoryFleetStore {
  const listeners = new Set<(push: Push) => void>()
  const beats = new Map<string, number>()
  const columns = new Map<string, { text: string; at: number }>()
  const words = new Map<string, StoredWord>()
  const claims = new Map<string, { pod: string; until: number }>()
  const granted = new Map<string, { pod: string; until: number }>()
  let version = 1
  let bornAt = clock.now()

  const push = (change: Push) => queueMicrotask(() => listeners.forEach((hear) => void hear(change)))

  function forgetSilent() {
    for (const [pod, at] of beats) if (at <= clock.now() - silentMs) remove(pod)
  }

  function remove(pod: string) {
    if (beats.delete(pod)) version++
    columns.delete(pod)
  }

  function takeWords(given: Beat['words']) {
    const taken: StoredWord[] = []
    for (const { name, word, at } of given) {
      const known = words.get(name)
      const stored = { name, word, at: at === 0 ? Math.max(clock.wallNow(), (known?.at ?? 0) + 1) : at }
      if (known && known.at >= stored.at) continue
      words.set(name, stored)
      taken.push(stored)
    }
    if (taken.length > 0) push({ version: ++version, words: taken })
  }

  return {
    async sync({ pod, seen, said, words: given }) {
      if (!beats.has(pod)) version++
      beats.set(pod, clock.now())
      forgetSilent()
      if (said === '') columns.delete(pod)
      else if (said !== undefined) columns.set(pod, { text: said, at: clock.now() })
      if (said !== undefined) push({ version: ++version, pod, text: said })
      takeWords(given)
      const page = {
        pods: [...beats.keys()],
        said: [...columns].map(([each, { text, at }]) => ({ pod: each, text, agoMs: clock.now() - at })),
        words: [...words.values()],
      }
      return { pods: beats.size, version, hasColumn: columns.has(pod), page: seen === version ? undefined : page }
    },
    async claim(what, pod, ms) {
      const now = clock.now()
      if (now - bornAt < ms) return false
      const held = claims.get(what)
      if (held && held.pod !== pod && held.until > now) return false
      claims.set(what, { pod, until: now + ms })
      granted.set(what, { pod, until: now + ms })
      return true
    },
    async leave(pod) {
      remove(pod)
    },
    subscribe: ({ onPush }) => void listeners.add(onPush),
    holder(what) {
      const held = granted.get(what)
      return held && held.until > clock.now() ? held.pod : undefined
    },
    forget() {
      for (const kept of [beats, columns, words, claims]) kept.clear()
      version += 1_000
      bornAt = clock.now()
    },
  }
}
