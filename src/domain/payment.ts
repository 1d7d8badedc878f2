/** A payment by card: money that comes in as credit, once. */
import type { MicroUsd } from './money.ts'

/**
 * `created`: the provider knows nothing of it. `processing`: under way, or its outcome is not known. `succeeded` is
 * final; the others may still come to it, since a customer may pay the same intent after a declined try.
 */
export type PaymentState = 'created' | 'processing' | 'requires_action' | 'succeeded' | 'failed' | 'canceled'

export interface NewPayment {
  /** A UUID. Also what the provider is told as Idempotency-Key, and the id of the credit. */
  id: string
  accountId: string
  /** The caller's own. */
  idempotencyKey: string
  amount: MicroUsd
  currency: Currency
  /** The provider's name for it; never card data. */
  paymentMethod: string
  /** The sandbox plays the provider: no money comes of it. @default false */
  sandbox?: boolean
}

export interface Payment extends NewPayment {
  state: PaymentState
  /** The provider's name for it, once that is known. */
  intentId: string | undefined
  declineCode: string | undefined
  createdAt: Date
}

export const currencies = ['USD'] as const
export type Currency = (typeof currencies)[number]

/** Micro-dollars in the smallest coin that cards are charged in. */
const microPerCent = 10_000

export const isWholeCents = (amount: MicroUsd) => amount % microPerCent === 0
export const toCents = (amount: MicroUsd) => amount / microPerCent
