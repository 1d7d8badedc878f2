/** Payments of one process, for tests. */
import type { Payment } from '../../src/domain/payment.ts'
import type { Clock, PaymentStore } from '../../src/ports.ts'

interface Row extends Payment {
  askAt: number
  createdMs: number
  problem: string | undefined
}

export interface MemoryPaymentStore extends PaymentStore {
  problems(): string[]
}

const firstAskMs = 45_000
const longestMs = 3_600_000
const days30 = 30 * 86_400_000

export function createMemoryPaymentStore({ clock }: { clock: Clock }): MemoryPaymentStore {
  const rows: Row[] = []
  const rowOf = (accountId: string, id: string) => rows.find((row) => row.accountId === accountId && row.id === id)
  const out = ({ askAt: _a, createdMs: _c, problem: _p, ...payment }: Row): Payment => payment

  return {
    problems: () => rows.flatMap(({ problem }) => problem ?? []),
    async begin(payment) {
      const { accountId, idempotencyKey } = payment
      const known = rows.find((row) => row.accountId === accountId && row.idempotencyKey === idempotencyKey)
      if (known) return { payment: out(known), isNew: false }
      const row: Row = {
        ...payment,
        state: 'processing',
        intentId: undefined,
        declineCode: undefined,
        createdAt: new Date(clock.wallNow()),
        createdMs: clock.now(),
        askAt: clock.now() + firstAskMs,
        problem: undefined,
      }
      rows.push(row)
      return { payment: out(row), isNew: true }
    },
    async find(accountId, id) {
      const row = rowOf(accountId, id)
      return row && out(row)
    },
    async list(accountId, { limit, before = 'g' }) {
      const own = rows.filter((row) => row.accountId === accountId && row.id < before)
      return own
        .sort((a, b) => (a.id < b.id ? 1 : -1))
        .slice(0, limit)
        .map(out)
    },
    async resume(accountId, id) {
      const row = rowOf(accountId, id)
      if (row?.state !== 'created') return false
      row.state = 'processing'
      row.createdAt = new Date(clock.wallNow())
      row.createdMs = clock.now()
      row.askAt = clock.now() + firstAskMs
      return true
    },
    async move(accountId, id, { state, intentId, declineCode }) {
      const row = rowOf(accountId, id)
      if (!row) return undefined
      const was = row.state
      const takenBack = state === 'created' && !(row.state === 'processing' && row.intentId === undefined)
      if (row.state !== 'succeeded' && !takenBack) {
        row.state = state
        row.intentId ??= intentId
        row.declineCode = declineCode
      }
      return { payment: out(row), was }
    },
    async park(accountId, id, problem) {
      const row = rowOf(accountId, id)
      if (row) row.problem = problem
    },
    async takeOpen(max) {
      const now = clock.now()
      const isOpen = ({ state, intentId }: Row) =>
        state === 'processing' || state === 'requires_action' || (state === 'failed' && intentId !== undefined)
      const due = rows.filter(
        (row) => isOpen(row) && row.problem === undefined && row.askAt <= now && row.createdMs > now - days30,
      )
      return due.slice(0, max).map((row) => {
        const mostMs = row.state === 'failed' ? days30 : longestMs
        row.askAt = now + Math.min(Math.max(now - row.createdMs, firstAskMs), mostMs)
        return out(row)
      })
    },
  }
}
