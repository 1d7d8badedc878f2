/** A ledger that lives as long as the process, for tests and benches: what is written and what is read are one. */
import type { SpentByMinute, WindowLimits } from '../../src/domain/guardrails.ts'
import type { MicroUsd } from '../../src/domain/money.ts'
import type { Receipt } from '../../src/domain/receipt.ts'
import {
  maxUsageDays,
  monthOf,
  type Position,
  type SumKind,
  type Transaction,
  type UsageGroup,
  type UsagePlace,
  type UsageRow,
} from '../../src/domain/statement.ts'
import type { Balance, Clock, Credits, Guardrails, Statements, UsageSums } from '../../src/ports.ts'
import { createMemoryLedgerStore, type MemoryLedgerStore, momentOf } from './ledger-store.ts'

export interface MemoryBooks {
  ledgerStore: MemoryLedgerStore
  statements: Statements
  credits: Credits
  guardrails: Guardrails
  usageSums: UsageSums
  /** What is changed there holds. */
  of(accountId: string): MemoryBook
}

export interface MemoryBook extends Balance {
  leased: MicroUsd
  entries: Transaction[]
  usage: UsageRow[]
  receipts: Receipt[]
  limits: WindowLimits
  shadow: boolean
  spent: Map<number, MicroUsd>
  resetMinute: number
  /** Of what is held: for the hours under way of rentals, by purse. */
  rented: Map<string, MicroUsd>
  /** What became of each hour of a rental, by its operation. */
  rentalHours: Map<string, 'hold' | 'settle' | 'release'>
}

export interface MemoryBooksOptions {
  clock: Pick<Clock, 'wallNow'>
  /** Of every account; undefined = guard rails are off. @default none, and an account may set its own */
  windowLimits?: WindowLimits | undefined
  /** What an account has at first. @default 0 */
  everyoneHas?: MicroUsd
}

export function createMemoryBooks({ clock, everyoneHas = 0, ...options }: MemoryBooksOptions): MemoryBooks {
  const windowLimits = 'windowLimits' in options ? options.windowLimits : {}
  const books = new Map<string, MemoryBook>()
  const of = (accountId: string): MemoryBook => {
    const known = books.get(accountId)
    if (known) return known
    const money = { available: everyoneHas, held: 0, leased: 0 }
    const rows = { entries: [], usage: [], receipts: [], spent: new Map(), rented: new Map(), rentalHours: new Map() }
    const book = { ...money, ...rows, limits: {}, shadow: false, resetMinute: 0 }
    books.set(accountId, book)
    return book
  }
  const entryOf = (accountId: string, { id, kind }: { id: string; kind: string }) =>
    of(accountId).entries.find((entry) => entry.operationId === id && entry.kind === kind)

  return {
    of,
    ledgerStore: createMemoryLedgerStore({ clock, of, windowLimits }),
    credits: {
      async grant(accountId, { id, kind, amount, note }) {
        if (entryOf(accountId, { id, kind })) return false
        of(accountId).entries.push({
          ...{ at: momentOf(clock.wallNow()), operationId: id, kind, amount, note, instanceId: undefined },
        })
        of(accountId).available += amount
        return true
      },
      async granted(accountId, credit) {
        const entry = entryOf(accountId, credit)
        return entry && { amount: entry.amount, note: entry.note }
      },
    },
    statements: {
      async balance(accountId) {
        const { available, held } = of(accountId)
        return { available, held }
      },
      async transactions(accountId, { limit, from }) {
        const sorted = of(accountId).entries.toSorted(newestFirst)
        return sorted.filter((entry) => !from || newestFirst(entry, from) >= 0).slice(0, limit)
      },
      async usage(accountId, { groupBy, from, to }) {
        const rows = of(accountId).usage.filter(({ day }) => day >= from && day <= to)
        return grouped(
          rows.map((row) => [row[groupBy === 'key' ? 'keyId' : groupBy], row]),
          groupBy,
        ).slice(0, groupBy === 'day' ? maxUsageDays : 1_000)
      },
      async usageRows(accountId, { limit, after }) {
        const sorted = of(accountId).usage.toSorted((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1))
        return sorted.filter((row) => !after || placeOf(row) > placeOf(after)).slice(0, limit)
      },
      receipt: async (accountId, requestId) =>
        of(accountId).receipts.find(({ request_id }) => request_id === requestId),
      async receipts(accountId, { limit, before = 'g' }) {
        const sorted = of(accountId).receipts.toSorted((a, b) => (a.request_id < b.request_id ? 1 : -1))
        return sorted.filter(({ request_id }) => request_id < before).slice(0, limit)
      },
    },
    usageSums: {
      // As it is now: nothing has to be summed before.
      async read({ kind, month }) {
        const rows = [...books].flatMap(([accountId, { usage }]) =>
          usage
            .filter(({ day }) => monthOf(day) === month)
            .map((row): [string, UsageRow] => {
              const names = { account: accountId, key: `${accountId}/${row.keyId}`, model: row.model, day: row.day }
              return [names[kind], row]
            }),
        )
        return grouped(rows, kind).slice(0, 100)
      },
      async sum() {},
      mend: async () => 0,
    },
    guardrails: {
      async state(accountId) {
        const { limits, shadow, spent, resetMinute, held, leased } = of(accountId)
        const counted: SpentByMinute = new Map([...spent].filter(([minute]) => minute >= resetMinute))
        return { limits, shadow, spent: counted, outstanding: held + leased }
      },
      async setLimits(accountId, changes) {
        const changed = Object.entries(changes).filter(([, limit]) => limit !== undefined)
        const merged = Object.entries({ ...of(accountId).limits, ...Object.fromEntries(changed) })
        of(accountId).limits = Object.fromEntries(merged.filter(([, limit]) => limit !== null))
      },
      async setShadow(accountId, shadow) {
        of(accountId).shadow = shadow
      },
      async reset(accountId, minute) {
        of(accountId).resetMinute = Math.max(of(accountId).resetMinute, minute)
      },
    },
  }
}

function grouped(rows: readonly [name: string, UsageRow][], by: SumKind): UsageGroup[] {
  const groups = new Map<string, UsageGroup>()
  for (const [name, row] of rows) {
    const group = groups.get(name) ?? { group: name, ...none }
    for (const amount of Object.keys(none) as (keyof typeof none)[]) group[amount] += row[amount]
    groups.set(name, group)
  }
  const byName = (a: UsageGroup, b: UsageGroup) => (a.group < b.group ? -1 : 1)
  const byCost = (a: UsageGroup, b: UsageGroup) => b.cost - a.cost || byName(a, b)
  return [...groups.values()].sort(by === 'day' ? byName : byCost)
}

const placeOf = ({ day, keyId, model }: UsagePlace) => `${day} ${keyId} ${model}`
const none = { requests: 0, inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, cost: 0 }

/** By time and id the later first, by kind in its order. */
function newestFirst(a: Position, b: Position): number {
  if (a.at !== b.at) return a.at < b.at ? 1 : -1
  if (a.operationId !== b.operationId) return a.operationId < b.operationId ? 1 : -1
  return a.kind === b.kind ? 0 : a.kind < b.kind ? -1 : 1
}
