/** What an account's owner is shown of the ledger. */
import type { MicroUsd } from './money.ts'

/** Kinds of entries that change what may be spent for good; a hold and its release are not shown. */
export const shownKinds = ['signup', 'bootstrap', 'granted', 'payment', 'refund', 'settle'] as const
export type ShownKind = (typeof shownKinds)[number]

/** An entry's place among those of its account. */
export interface Position {
  /** ISO 8601 in UTC, to the microsecond: `2026-11-25T12:00:00.000007Z`. */
  at: string
  operationId: string
  kind: ShownKind
}

export interface Transaction extends Position {
  /** Below zero where it was spent. */
  amount: MicroUsd
  note: string | undefined
  /** The rented machine that it is for; its operation is then no request's. */
  instanceId: string | undefined
}

export const usageGroupings = ['model', 'key', 'day'] as const

/** What sums are kept of; by account of all accounts together. There a key's group is `<account>/<key>`. */
export const sumKinds = [...usageGroupings, 'account'] as const
export type SumKind = (typeof sumKinds)[number]

/** That one question may span; each is a group where they are asked for by day. */
export const maxUsageDays = 3_700

export interface UsageQuestion {
  groupBy: (typeof usageGroupings)[number]
  /** Both included, as in `2026-11-25` (UTC). */
  from: string
  to: string
}

export interface UsageAmounts {
  requests: number
  inputTokens: number
  cachedInputTokens: number
  outputTokens: number
  cost: MicroUsd
}

export interface UsageGroup extends UsageAmounts {
  /** A model, a key's id, or a day. */
  group: string
}

export interface UsagePlace {
  day: string
  keyId: string
  /** As the provider calls it. */
  model: string
}

/** As it is kept: what one key used of one model on one day. */
export interface UsageRow extends UsagePlace, UsageAmounts {}

const dayMs = 86_400_000

/** In UTC. */
export const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

/** The first day of its month. */
export const monthOf = (day: string): string => `${day.slice(0, 7)}-01`

/** The day that is so many days later. */
export const daysAfter = (day: string, days: number): string => dayOf(Date.parse(day) + days * dayMs)

/** Days from the first to the second, both included; 0 or less = they are the wrong way round. */
export const daysWithin = (from: string, to: string): number => (Date.parse(to) - Date.parse(from)) / dayMs + 1
