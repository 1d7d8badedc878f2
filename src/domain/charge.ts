/** What the billing system is told: one sum for operations of one account, each named. */
import type { MicroUsd } from './money.ts'

export interface Charge {
  /** The id of its first operation, so a lone request's charge has the request's own id. */
  id: string
  accountId: string
  amount: MicroUsd
  /** When its last operation ended. */
  occurredAt: Date
  /** In their order; 500 at most. */
  operations: readonly ChargedOperation[]
}

export interface ChargedOperation {
  id: string
  amount: MicroUsd
}

/** `parked`: the billing system will not have it as it is; an operator decides. */
export type ChargeEnd = { state: 'delivered'; transactionId: string } | { state: 'parked'; reason: string }
