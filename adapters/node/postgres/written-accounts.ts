/**
 * How far a replica must be to show an account what was written for it: a position in the primary's log (LSN) per
 * account. Nothing is asked after a write: the next look at the primary, which happens twice a second anyway, tells a
 * position that is certainly behind it, and until then the account reads from the primary.
 */
export interface WrittenAccounts {
  /** This pod has written for the account, or tried to. */
  mark(accountId: string): void
  /** A look at the primary that was begun at `startedAt`: its position, and the last writes of all pods. */
  seen(look: { startedAt: number; lsn: number; timeline: string; writes: readonly Write[] }): void
  /** Where a replica has to be at least; Infinity = only the primary will do. */
  requiredLsn(accountId: string): number
}

export interface Write {
  accountId: string
  /** Differs from write to write of an account. */
  version: string
}

/** Each costs about 150 bytes. */
export const maxAccounts = 20_000
/** Looks tell the writes of the last `recentWritesS` seconds: after a longer gap some were missed. */
export const recentWritesS = 30
const maxGapMs = (recentWritesS * 1000) / 2

export function createWrittenAccounts({ now }: { now: () => number }): WrittenAccounts {
  const required = new Map<string, number>()
  /** Written since the last look, and when. */
  let unseen = new Map<string, number>()
  let versions = new Map<string, string>()
  /** Of every account: the position at the first look, at one after a gap, and that of whoever had to be forgotten. */
  let floor = Infinity
  /** More accounts were written than are remembered between two looks. */
  let everyoneAt = -Infinity
  let lastLookAt = -Infinity
  let timeline = ''

  const require = (accountId: string, lsn: number) => {
    required.delete(accountId)
    required.set(accountId, lsn)
    if (required.size <= maxAccounts) return
    const [oldest, itsLsn] = required.entries().next().value!
    required.delete(oldest)
    floor = Math.max(floor, itsLsn)
  }

  return {
    mark(accountId) {
      unseen.set(accountId, now())
      if (unseen.size <= maxAccounts) return
      unseen.clear()
      floor = Infinity
      everyoneAt = now()
    },
    seen({ startedAt, lsn, timeline: current, writes }) {
      // Positions of a lost primary mean nothing in the log of the new one.
      if (current !== timeline) {
        required.clear()
        floor = lsn
        timeline = current
      }
      if (startedAt - lastLookAt > maxGapMs || (floor === Infinity && startedAt > everyoneAt)) floor = lsn
      lastLookAt = startedAt
      for (const { accountId, version } of writes) {
        if (versions.get(accountId) !== version) require(accountId, lsn)
      }
      versions = new Map(writes.map(({ accountId, version }) => [accountId, version]))
      const later = new Map<string, number>()
      for (const [accountId, at] of unseen) {
        if (at < startedAt) require(accountId, lsn)
        else later.set(accountId, at)
      }
      unseen = later
    },
    requiredLsn: (accountId) => (unseen.has(accountId) ? Infinity : Math.max(floor, required.get(accountId) ?? 0)),
  }
}
