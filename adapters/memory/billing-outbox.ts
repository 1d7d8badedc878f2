/** An outbox of one process, for tests. */
import type { Charge, ChargedOperation, ChargeEnd } from '../../src/domain/charge.ts'
import type { BillingOutbox, Clock } from '../../src/ports.ts'

export interface MemoryBillingOutbox extends BillingOutbox {
  /** What the ledger does when an operation ends. */
  add(accountId: string, operation: ChargedOperation): void
  finished: readonly (Charge & { end: ChargeEnd })[]
}

interface Waiting extends ChargedOperation {
  at: Date
  chargeId?: string
}

export function createMemoryBillingOutbox({ clock }: { clock: Clock }): MemoryBillingOutbox {
  const waiting = new Map<string, Waiting[]>()
  const turns = new Map<string, { holder: string; until: number; failures: number }>()
  const finished: (Charge & { end: ChargeEnd })[] = []

  return {
    finished,
    add(accountId, operation) {
      const own = waiting.get(accountId) ?? []
      waiting.set(accountId, [...own, { ...operation, at: new Date(clock.wallNow()) }])
    },
    async takeTurns({ holder, max, forMs }) {
      const free = [...waiting.keys()].filter((accountId) => (turns.get(accountId)?.until ?? 0) <= clock.now())
      return free.slice(0, max).map((accountId) => {
        const failures = turns.get(accountId)?.failures ?? 0
        turns.set(accountId, { holder, until: clock.now() + forMs, failures })
        return { accountId, holder, failures }
      })
    },
    async nextCharge({ accountId, holder }, { maxOperations, forMs }) {
      const turn = turns.get(accountId)
      if (turn?.holder !== holder || turn.until <= clock.now()) return undefined
      turn.until = clock.now() + forMs
      const own = waiting.get(accountId) ?? []
      const begun = own.filter(({ chargeId }) => chargeId !== undefined)
      const bound = begun.length > 0 ? begun : own.slice(0, maxOperations)
      const [first, last] = [bound[0], bound.at(-1)]
      if (!first || !last) return undefined
      for (const each of bound) each.chargeId = first.id
      return {
        id: first.id,
        accountId,
        amount: bound.reduce((sum, { amount }) => sum + amount, 0),
        occurredAt: last.at,
        operations: bound.map(({ id, amount }) => ({ id, amount })),
      }
    },
    async finish(charge, end) {
      const left = (waiting.get(charge.accountId) ?? []).filter(({ chargeId }) => chargeId !== charge.id)
      if (left.length > 0) waiting.set(charge.accountId, left)
      else waiting.delete(charge.accountId)
      if (!finished.some(({ id }) => id === charge.id)) finished.push({ ...charge, end })
    },
    async endTurn({ accountId, holder }, { restMs, failures }) {
      if (turns.get(accountId)?.holder === holder) {
        turns.set(accountId, { holder, until: clock.now() + restMs, failures })
      }
    },
    pending: async () => [...waiting.values()].reduce((sum, { length }) => sum + length, 0),
  }
}
