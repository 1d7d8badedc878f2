/** The ledger's books of a single process, gone with it: for tests and benches. */
import { blockedBy, type WindowLimits } from '../../src/domain/guardrails.ts'
import type { EndEvent, LedgerEvent } from '../../src/domain/ledger.ts'
import { type Receipt, receiptOf } from '../../src/domain/receipt.ts'
import type { Credits, LeaseAnswer, LedgerStore, OpenHold } from '../../src/ports.ts'

export interface MemoryLedgerStore extends LedgerStore, Credits {
  balance(accountId: string): { available: number; held: number; leased: number }
  ends: EndEvent[]
  receipts: Map<string, Receipt>
  shadow: Set<string>
}

export function createMemoryLedgerStore({
  wallNow = () => 0,
  windowLimits = {},
  everyoneHas = 0,
}: {
  wallNow?: () => number
  windowLimits?: WindowLimits
  /** Credit of accounts that were never granted any. @default 0 */
  everyoneHas?: number
} = {}): MemoryLedgerStore {
  const balances = new Map<string, { available: number; held: number; leased: number }>()
  const leases = new Map<string, { accountId: string; processId: string; amount: number }>()
  const holds = new Map<string, OpenHold & { podId: string; at: number }>()
  const ended = new Map<string, EndEvent>()
  const spent: { accountId: string; keyId: string; at: number; amount: number }[] = []
  const credits = new Map<string, number>()
  const shadow = new Set<string>()
  const receipts = new Map<string, Receipt>()
  const balance = (accountId: string) => {
    const known = balances.get(accountId) ?? { available: everyoneHas, held: 0, leased: 0 }
    balances.set(accountId, known)
    return known
  }
  const leaseKey = (purseId: string, processId: string) => `${purseId}/${processId}`

  function move(event: { accountId: string; purseId: string; processId: string }, available: number, held: number) {
    const books = balance(event.accountId)
    books.available += available
    books.held += held
    const lease = leases.get(leaseKey(event.purseId, event.processId))
    if (!lease) return
    const after = Math.max(0, lease.amount + available)
    books.leased += after - lease.amount
    lease.amount = after
  }

  function enterOne(event: LedgerEvent, wholeGroup: readonly LedgerEvent[]) {
    const { operationId } = event
    if (event.event === 'mark') {
      const hold = holds.get(operationId)
      if (hold) hold.outputTokens = Math.max(hold.outputTokens, event.outputTokens)
    } else if (event.event === 'hold') {
      const endsHere = wholeGroup.some(
        (each) => each.operationId === operationId && (each.event === 'settle' || each.event === 'release'),
      )
      if (endsHere || ended.has(operationId) || holds.has(operationId)) return
      holds.set(operationId, { ...event, outputTokens: 0 })
      move(event, -event.amount, event.amount)
    } else if (!ended.has(operationId)) {
      const held = holds.get(operationId)?.amount ?? 0
      const lease = leases.get(leaseKey(event.purseId, event.processId))?.amount ?? 0
      const { available, leased } = balance(event.accountId)
      const paid = Math.min(event.amount, held + available - leased + lease)
      ended.set(operationId, event)
      holds.delete(operationId)
      move(event, held - paid, -held)
      const receipt = receiptOf(event)
      if (receipt) receipts.set(operationId, receipt)
      if (event.amount > 0) spent.push({ ...event })
    }
  }

  return {
    ends: [] as EndEvent[],
    receipts,
    shadow,
    balance,
    async grant(accountId, { id, kind, amount }) {
      const key = `${accountId}/${id}/${kind}`
      if (credits.has(key)) return false
      credits.set(key, amount)
      balance(accountId).available += amount
      return true
    },
    granted: async (accountId, { id, kind }) => credits.get(`${accountId}/${id}/${kind}`),
    async enter(lines) {
      const events = lines.map((line) => JSON.parse(line) as LedgerEvent)
      for (const event of events) enterOne(event, events)
      this.ends = [...ended.values()]
      const left = (accountId: string) => balance(accountId).available - balance(accountId).leased
      return { refused: 0, spendable: new Map(events.map(({ accountId }) => [accountId, left(accountId)])) }
    },
    async lease({ accountId, purseId, processId, budgets, need, want }) {
      const books = balance(accountId)
      const spendable = books.available - books.leased
      const answer: LeaseAnswer = {
        ...{ granted: 0, spendable, elsewhere: books.leased, held: books.held },
        limited: Object.keys(windowLimits).length > 0,
        ...{ blocked: undefined, shadowed: undefined },
      }
      if (spendable < need) return answer
      const minute = Math.floor(wallNow() / 60_000)
      const byMinute = new Map<number, number>([[minute, books.held + books.leased]])
      for (const { at, amount, ...row } of spent) {
        const then = Math.floor(at / 60_000)
        if (row.accountId === accountId) byMinute.set(then, (byMinute.get(then) ?? 0) + amount)
      }
      const window = blockedBy(byMinute, windowLimits, minute, need)
      if (window && shadow.has(accountId)) answer.shadowed = { by: 'window', ...window }
      else if (window) return { ...answer, blocked: { by: 'window', ...window } }
      const keySpent = spent
        .filter(({ keyId }) => keyId === budgets?.keyId)
        .reduce((sum, { amount }) => sum + amount, 0)
      const open = leases.get(leaseKey(purseId, processId))?.amount ?? 0
      for (const [period, limit] of [['day', budgets?.perDay] as const, ['month', budgets?.perMonth] as const]) {
        if (limit === undefined || keySpent + open + need <= limit) continue
        return { ...answer, blocked: { by: 'budget', period, limit, spent: keySpent + open, asked: need } }
      }
      const granted = budgets || Object.keys(windowLimits).length > 0 ? need : Math.min(want, spendable)
      books.leased += granted
      const key = leaseKey(purseId, processId)
      const lease = leases.get(key) ?? { accountId, processId, amount: 0 }
      leases.set(key, { ...lease, amount: lease.amount + granted })
      return { ...answer, granted, spendable: spendable - granted }
    },
    async look(accountId) {
      const { available, held, leased } = balance(accountId)
      const limited = Object.keys(windowLimits).length > 0
      return { spendable: available - leased, elsewhere: leased, held, limited }
    },
    async giveBack(slices) {
      for (const { accountId, purseId, processId, amount } of slices) {
        const lease = leases.get(leaseKey(purseId, processId))
        if (!lease) continue
        const given = amount === 'all' ? lease.amount : Math.min(amount, lease.amount)
        lease.amount -= given
        balance(accountId).leased -= given
        if (amount === 'all') leases.delete(leaseKey(purseId, processId))
      }
    },
    renew: async (slices) =>
      slices.map(({ purseId }) => purseId).filter((id, i) => !leases.has(leaseKey(id, slices[i]!.processId))),
    formerHolds: async (podId, processId, max) =>
      [...holds.values()].filter((hold) => hold.podId === podId && hold.processId !== processId).slice(0, max),
    async endFormerLeases(_podId, processId) {
      for (const [key, lease] of leases) {
        if (lease.processId === processId) continue
        balance(lease.accountId).leased -= lease.amount
        leases.delete(key)
      }
    },
    abandoned: async ({ holdsOlderThanMs, max }) =>
      [...holds.values()].filter(({ at }) => at < wallNow() - holdsOlderThanMs).slice(0, max),
    endAbandonedLeases: async () => 0,
    stateOf: async (_accountId, id) => ended.get(id)?.event ?? (holds.has(id) ? 'hold' : undefined),
    primary: () => '',
  }
}
