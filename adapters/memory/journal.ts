/** A journal that is gone with the process: for tests and benches. */
import type { Journal, JournalEntry } from '../../src/ports.ts'

export function createMemoryJournal({ maxBytes = Infinity }: { maxBytes?: number } = {}): Journal {
  let entries: JournalEntry[] = []
  let position = 0
  let bytes = 0
  return {
    append(event) {
      if (bytes + event.length > maxBytes) return 0
      bytes += event.length
      entries.push({ position: ++position, event })
      return position
    },
    written: async () => {},
    flush: async () => {},
    async *unsettled() {
      yield* [...entries]
    },
    oldest: async (max) => entries.slice(0, max),
    settle(upTo) {
      for (const entry of entries) if (entry.position <= upTo) bytes -= entry.event.length
      entries = entries.filter((entry) => entry.position > upTo)
    },
    get position() {
      return position
    },
    get pending() {
      return entries.length
    },
    get full() {
      return bytes > maxBytes * 0.95
    },
    lost: 0,
    close: async () => {},
  }
}
