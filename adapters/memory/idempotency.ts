/** Idempotency keys of one process: for tests that are about something else. */
import { type Claim, type Ending, type HeldKey, keptMs, silentMs } from '../../src/domain/idempotency.ts'
import type { Clock, Idempotency } from '../../src/ports.ts'

/** There is one pod, whose memory this is. */
const podId = 'memory'

interface Row {
  fingerprint: string
  requestId: string
  createdAt: number
  heartbeatAt: number
  ending: Ending | undefined
}

export function createMemoryIdempotency({ clock }: { clock: Clock }): Idempotency {
  /** In the order in which they were made. */
  const rows = new Map<string, Row>()
  const nameOf = ({ accountId, digest }: HeldKey) => `${accountId} ${digest}`
  const isOlder = (at: number, ms: number) => at <= clock.now() - ms
  const held = (key: HeldKey) => {
    const row = rows.get(nameOf(key))
    return row?.requestId === key.requestId ? row : undefined
  }

  const isOpen = ({ ending }: Row) => !ending || ending.outcome === 'lost'

  return {
    async claim(key, fingerprint): Promise<Claim> {
      const now = clock.now()
      const row = rows.get(nameOf(key))
      if (!row || isOlder(row.createdAt, keptMs)) {
        const { requestId } = key
        rows.set(nameOf(key), { fingerprint, requestId, createdAt: now, heartbeatAt: now, ending: undefined })
        return { state: 'claimed' }
      }
      const { requestId, ending } = row
      if (row.fingerprint !== fingerprint) return { state: 'mismatch' }
      if (ending) return { state: 'ended', requestId, ending }
      return isOlder(row.heartbeatAt, silentMs)
        ? { state: 'silent', requestId, podId }
        : { state: 'running', requestId }
    },
    async takeOver(key, { requestId }) {
      const row = held({ ...key, requestId })
      if (!row || row.ending || !isOlder(row.heartbeatAt, silentMs)) return false
      row.requestId = key.requestId
      row.heartbeatAt = clock.now()
      return true
    },
    async end(key, ending) {
      const row = held(key)
      if (row && isOpen(row)) row.ending = ending
    },
    async release(key) {
      const row = held(key)
      if (row && isOpen(row)) rows.delete(nameOf(key))
    },
    async forget(accountId) {
      for (const name of rows.keys()) if (name.startsWith(`${accountId} `)) rows.delete(name)
    },
    endFormer: async () => {},
    async beat(keys) {
      for (const key of keys) {
        const row = held(key)
        if (row && !row.ending) row.heartbeatAt = clock.now()
      }
    },
    async purge(max) {
      const old = [...rows].filter(([, { createdAt }]) => isOlder(createdAt, keptMs)).slice(0, max)
      for (const [name] of old) rows.delete(name)
      return old.length
    },
  }
}
