/** Deployments of one process, for tests. */
import type { Deployment } from '../../src/domain/deployment.ts'
import type { Clock, Deployments } from '../../src/ports.ts'

const maxOfAccount = 50
const maxAll = 2_000

export function createMemoryDeployments({ clock }: { clock: Pick<Clock, 'now'> }): Deployments {
  const rows = new Map<string, Deployment>()
  /** Until when a pod is at it, by this clock: pods may disagree about theirs. */
  const takenUntil = new Map<string, number>()
  const rowOf = (accountId: string, id: string) => {
    const row = rows.get(id)
    return row?.accountId === accountId ? row : undefined
  }
  const put = (row: Deployment) => {
    rows.set(row.id, row)
    return row
  }

  return {
    async create(deployment, at, dueAt) {
      const own = [...rows.values()].filter(({ accountId }) => accountId === deployment.accountId)
      if (own.some(({ name }) => name === deployment.name)) return 'name_taken'
      if (own.length >= maxOfAccount) return 'too_many'
      if (rows.size >= maxAll) return 'full'
      takenUntil.set(deployment.id, clock.now() + dueAt.getTime() - at.getTime())
      return put({
        ...deployment,
        version: 0,
        createdAt: at,
        endAskedAt: undefined,
        dueAt,
        members: [],
        spent: 0,
        failures: 0,
        retryAt: undefined,
        reason: undefined,
        gaveUp: false,
        busy: {},
      })
    },
    find: async (accountId, id) => rowOf(accountId, id),
    async list(accountId, { limit, before = 'g' }) {
      const own = [...rows.values()].filter((row) => row.accountId === accountId && row.id < before)
      return own.sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, limit)
    },
    async change({ accountId, id, version }, { standing, noneBusy, ...change }) {
      const row = rowOf(accountId, id)
      if (row?.version !== version) return undefined
      const set = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))
      // Whoever says when it is due is at it no more.
      if (change.dueAt) takenUntil.delete(id)
      const busy = noneBusy ? {} : row.busy
      return put({ ...row, ...set, ...standing, busy, version: version + 1 })
    },
    async remove({ accountId, id, version }) {
      const isSame = rowOf(accountId, id)?.version === version
      if (isSame) takenUntil.delete(id)
      return isSame && rows.delete(id)
    },
    async takeDue({ now, max, forMs }) {
      const isFree = (id: string) => (takenUntil.get(id) ?? Number.NEGATIVE_INFINITY) <= clock.now()
      const due = [...rows.values()].filter(({ id, dueAt }) => dueAt <= now && isFree(id))
      due.sort((a, b) => a.dueAt.getTime() - b.dueAt.getTime())
      return due.slice(0, max).map((row) => {
        takenUntil.set(row.id, clock.now() + forMs)
        return put({ ...row, dueAt: new Date(now.getTime() + forMs), version: row.version + 1 })
      })
    },
    all: async () => [...rows.values()].sort((a, b) => (a.id < b.id ? -1 : 1)),
    async noteBusy({ accountId, id }, rentalIds, at) {
      const row = rowOf(accountId, id)
      if (!row) return
      const said = rentalIds.map((rentalId) => [rentalId, at.getTime()])
      put({ ...row, busy: { ...row.busy, ...Object.fromEntries(said) } })
    },
  }
}
