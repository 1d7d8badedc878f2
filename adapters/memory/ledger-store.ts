/** What the gateway writes into the memory books: holds, ends and leases, in the same steps as in PostgreSQL. */
import { blockedBy, strictest, type WindowLimits } from '../../src/domain/guardrails.ts'
import type { EndEvent, HoldEvent, LedgerEvent } from '../../src/domain/ledger.ts'
import type { MicroUsd } from '../../src/domain/money.ts'
import { receiptOf } from '../../src/domain/receipt.ts'
import { dayOf } from '../../src/domain/statement.ts'
import type { Clock, HoldRefusal, HoldTerms, LeaseAnswer, LeaseBlock, LedgerStore, OpenHold } from '../../src/ports.ts'
import type { MemoryBook } from './books.ts'

export interface MemoryLedgerStore extends LedgerStore {
  /** In the order in which they were entered. */
  ends: EndEvent[]
  /** Why so much may not be held besides. */
  refusalOf(terms: HoldTerms, asked: MicroUsd): HoldRefusal | undefined
}

export interface MemoryLedgerStoreOptions {
  clock: Pick<Clock, 'wallNow'>
  of: (accountId: string) => MemoryBook
  /** Of every account; undefined = guard rails are off. */
  windowLimits: WindowLimits | undefined
}

interface Lease {
  accountId: string
  purseId: string
  processId: string
  amount: MicroUsd
}

const minuteMs = 60_000
const isEnd = ({ event }: LedgerEvent) => event === 'settle' || event === 'release'

export function createMemoryLedgerStore({ clock, of, windowLimits }: MemoryLedgerStoreOptions): MemoryLedgerStore {
  const leases = new Map<string, Lease>()
  const holds = new Map<string, OpenHold & { podId: string; at: number }>()
  const ended = new Map<string, EndEvent>()
  const ends: EndEvent[] = []
  const leaseKey = (purseId: string, processId: string) => `${purseId}/${processId}`
  const spendable = (accountId: string) => of(accountId).available - of(accountId).leased
  const isLimited = (accountId: string) =>
    windowLimits !== undefined && Object.keys({ ...windowLimits, ...of(accountId).limits }).length > 0

  /** What is taken within a lease is taken from it, too. */
  function move(event: HoldEvent | EndEvent, available: MicroUsd, held: MicroUsd) {
    const book = of(event.accountId)
    book.available += available
    book.held += held
    const lease = leases.get(leaseKey(event.purseId, event.processId))
    if (!lease) return
    const after = Math.max(0, lease.amount + available)
    book.leased += after - lease.amount
    lease.amount = after
  }

  function enterHold(event: HoldEvent, wholeGroup: readonly LedgerEvent[]) {
    const { operationId } = event
    const endsHere = wholeGroup.some((each) => each.operationId === operationId && isEnd(each))
    if (endsHere || ended.has(operationId) || holds.has(operationId)) return
    holds.set(operationId, { ...event, outputTokens: 0 })
    move(event, -event.amount, event.amount)
  }

  /** What the account cannot pay is written off: it never has less than nothing. */
  function enterEnd(event: EndEvent) {
    const { accountId, operationId, amount } = event
    if (ended.has(operationId)) return
    const held = holds.get(operationId)?.amount ?? 0
    const lease = leases.get(leaseKey(event.purseId, event.processId))?.amount ?? 0
    const paid = Math.min(amount, held + spendable(accountId) + lease)
    ended.set(operationId, event)
    ends.push(event)
    holds.delete(operationId)
    move(event, held - paid, -held)
    const book = of(accountId)
    const receipt = receiptOf(event)
    if (receipt) book.receipts.push(receipt)
    if (event.event === 'settle') noteSpent(book, event, paid)
  }

  function enterOne(event: LedgerEvent, wholeGroup: readonly LedgerEvent[]) {
    if (event.event === 'hold') enterHold(event, wholeGroup)
    else if (event.event !== 'mark') enterEnd(event)
    const hold = event.event === 'mark' && holds.get(event.operationId)
    if (hold) hold.outputTokens = Math.max(hold.outputTokens, event.outputTokens)
  }

  /** What forbids an amount; what is held and leased is as good as spent. */
  function blockOf(terms: HoldTerms, asked: MicroUsd): LeaseBlock | undefined {
    // A window may be passed in shadow mode, and what is behind it would not be asked.
    return budgetBlock(terms, asked) ?? windowBlock(terms, asked)
  }

  function windowBlock({ accountId }: HoldTerms, asked: MicroUsd): LeaseBlock | undefined {
    const book = of(accountId)
    const limits = windowLimits ? strictest(windowLimits, book.limits) : {}
    if (Object.keys(limits).length === 0) return undefined
    const minute = Math.floor(clock.wallNow() / minuteMs)
    const spent = new Map([...book.spent].filter(([then]) => then >= book.resetMinute))
    spent.set(minute, (spent.get(minute) ?? 0) + book.held + book.leased)
    const window = blockedBy(spent, limits, minute, asked)
    return window && { by: 'window', ...window }
  }

  function budgetBlock({ accountId, purseId, budgets }: HoldTerms, asked: MicroUsd): LeaseBlock | undefined {
    if (!budgets) return undefined
    const book = of(accountId)
    const today = dayOf(clock.wallNow())
    const own = book.usage.filter(({ keyId, day }) => keyId === budgets.keyId && day.startsWith(today.slice(0, 7)))
    const rented = book.rented.get(purseId) ?? 0
    const open = rented + sum([...leases.values(), ...holds.values()].filter((each) => each.purseId === purseId))
    const day = open + sum(own.filter((row) => row.day === today).map(({ cost }) => ({ amount: cost })))
    const month = open + sum(own.map(({ cost }) => ({ amount: cost })))
    for (const [period, limit, spent] of [
      ['day', budgets.perDay, day],
      ['month', budgets.perMonth, month],
    ] as const) {
      if (limit !== undefined && spent + asked > limit) return { by: 'budget', period, limit, spent, asked }
    }
    return undefined
  }

  const endLeases = (which: (lease: Lease) => boolean) => {
    for (const [key, lease] of leases) {
      if (!which(lease)) continue
      of(lease.accountId).leased -= lease.amount
      leases.delete(key)
    }
  }

  return {
    ends,
    refusalOf(terms, asked) {
      if (asked === 0) return undefined
      const book = of(terms.accountId)
      const left = spendable(terms.accountId)
      if (left < asked) return { refused: 'credit', asked, spendable: left, elsewhere: book.leased }
      const block = blockOf(terms, asked)
      return block && !(block.by === 'window' && book.shadow) ? { refused: 'block', block } : undefined
    },
    async enter(group) {
      const events: LedgerEvent[] = JSON.parse(group)
      for (const event of events) enterOne(event, events)
      return { refused: 0, spendable: new Map(events.map(({ accountId }) => [accountId, spendable(accountId)])) }
    },
    async lease(ask) {
      const { accountId, purseId, processId, need, want } = ask
      const book = of(accountId)
      const answer: LeaseAnswer = {
        ...{ granted: 0, spendable: spendable(accountId), elsewhere: book.leased, held: book.held },
        ...{ limited: isLimited(accountId), blocked: undefined, shadowed: undefined },
      }
      if (answer.spendable < need) return answer
      let granted = Math.min(want, answer.spendable)
      const wanted = blockOf(ask, granted)
      if (wanted) granted = need
      const blocked = wanted && blockOf(ask, need)
      if (blocked?.by === 'window' && book.shadow) answer.shadowed = blocked
      else if (blocked) return { ...answer, blocked }
      book.leased += granted
      const key = leaseKey(purseId, processId)
      leases.set(key, { accountId, purseId, processId, amount: (leases.get(key)?.amount ?? 0) + granted })
      return { ...answer, granted, spendable: answer.spendable - granted }
    },
    async look(accountId) {
      const { held, leased } = of(accountId)
      return { spendable: spendable(accountId), elsewhere: leased, held, limited: isLimited(accountId) }
    },
    async giveBack(slices) {
      const returned = new Map<string, MicroUsd>()
      for (const { accountId, purseId, processId, amount } of slices) {
        const lease = leases.get(leaseKey(purseId, processId))
        if (!lease) continue
        const given = amount === 'all' ? lease.amount : Math.min(amount, lease.amount)
        lease.amount -= given
        of(accountId).leased -= given
        returned.set(purseId, (returned.get(purseId) ?? 0) + given)
        if (amount === 'all') leases.delete(leaseKey(purseId, processId))
      }
      return returned
    },
    renew: async (slices) =>
      slices
        .filter(({ purseId, processId }) => !leases.has(leaseKey(purseId, processId)))
        .map(({ purseId }) => purseId),
    formerHolds: async (podId, processId, max) =>
      [...holds.values()].filter((hold) => hold.podId === podId && hold.processId !== processId).slice(0, max),
    endFormerLeases: async (_podId, processId) => endLeases((lease) => lease.processId !== processId),
    abandoned: async ({ holdsOlderThanMs, max }) =>
      [...holds.values()].filter(({ at }) => at < clock.wallNow() - holdsOlderThanMs).slice(0, max),
    endAbandonedLeases: async () => 0,
    stateOf: async (accountId, id) =>
      ended.get(id)?.event ?? (holds.has(id) ? 'hold' : of(accountId).rentalHours.get(id)),
    primary: () => '',
  }
}

const sum = (rows: readonly { amount: MicroUsd }[]) => rows.reduce((total, { amount }) => total + amount, 0)

/** What an end leaves besides the money that it moves. Answers how it is undone, before anything else is noted. */
export function noteSpent(book: MemoryBook, spending: Spending, paid: MicroUsd): () => void {
  const { operationId, at, amount, keyId, model, inputTokens, cachedInputTokens, outputTokens } = spending
  const { instanceId, requests = 1 } = spending
  book.entries.push({ at: momentOf(at), operationId, kind: 'settle', amount: -paid, note: undefined, instanceId })
  const minute = Math.floor(at / minuteMs)
  if (amount > 0) book.spent.set(minute, (book.spent.get(minute) ?? 0) + amount)
  const day = dayOf(at)
  const known = book.usage.find((row) => row.day === day && row.keyId === keyId && row.model === model)
  const row = known ?? {
    day,
    keyId,
    model,
    requests: 0,
    inputTokens: 0,
    cachedInputTokens: 0,
    outputTokens: 0,
    cost: 0,
  }
  const before = { ...row }
  if (!known) book.usage.push(row)
  row.requests += requests
  row.inputTokens += inputTokens
  row.cachedInputTokens += cachedInputTokens
  row.outputTokens += outputTokens
  row.cost += amount
  return () => {
    book.entries.pop()
    if (amount > 0) book.spent.set(minute, book.spent.get(minute)! - amount)
    if (known) Object.assign(row, before)
    else book.usage.pop()
  }
}

type Spending = Pick<
  EndEvent,
  'operationId' | 'at' | 'amount' | 'keyId' | 'model' | 'inputTokens' | 'cachedInputTokens' | 'outputTokens'
> & {
  instanceId?: string
  /** @default 1 */
  requests?: number
}

/** In the form of entries: to the microsecond. */
export const momentOf = (ms: number) => new Date(ms).toISOString().replace('Z', '000Z')
