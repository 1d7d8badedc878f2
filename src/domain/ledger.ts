/**
 * What the ledger is told. Each event is one line of JSON in the journal, and is handed on to the database as it stands;
 * an event that is told twice changes nothing. The id of an operation is the id of its request.
 */
import type { MicroUsd } from './money.ts'
import type { ReceiptTry, UsageSource } from './receipt.ts'

export type LedgerEvent = HoldEvent | MarkEvent | EndEvent

/** Credit is set aside, before anything leaves for a provider. */
export interface HoldEvent {
  event: 'hold'
  accountId: string
  operationId: string
  keyId: string
  /** The account's id, or the key's where the key has a budget of its own. */
  purseId: string
  /** Whose lease it is taken from: of this run of this pod. */
  processId: string
  podId: string
  amount: MicroUsd
  /** In ms since 1970. */
  at: number
  terms: Terms
}

/** By what an operation is ended where its pod died: what it would cost, as far as was known when it began. */
export interface Terms {
  endpoint: string
  /** As the provider calls it. */
  model: string
  provider: string
  streamed: boolean
  /** What it costs in any case, once anything has been delivered or may have been. */
  base: MicroUsd
  /** Micro-dollars for a million. */
  outputPerMillion: MicroUsd
  /** By the length of the prompt. */
  inputTokens: number
  /** The sandbox plays the provider. */
  sandbox?: true | undefined
}

/** A long stream has come so far. */
export interface MarkEvent {
  event: 'mark'
  accountId: string
  operationId: string
  outputTokens: number
}

/** `settle`: it cost `amount`. `release`: it cost nothing, since nothing was delivered. */
export interface EndEvent {
  event: 'settle' | 'release'
  accountId: string
  operationId: string
  keyId: string
  purseId: string
  processId: string
  amount: MicroUsd
  /** In ms since 1970. */
  at: number
  /** As the provider calls it. */
  model: string
  inputTokens: number
  cachedInputTokens: number
  outputTokens: number
  /** What else its receipt says. Undefined where the request was never begun. */
  facts: RequestFacts | undefined
}

/** In numbers, and nothing that the event says already: it is written for each request, and read for few. */
export interface RequestFacts {
  endpoint: string
  /** 499 = the caller left before the end; 0 = the gateway died while it ran. */
  status: number
  streamed: boolean
  provider: string
  tries: readonly ReceiptTry[]
  totalMs: number
  /** Spent in tries and in waits between them. */
  providerMs: number
  source: UsageSource
  /** Micro-dollars, by the name of the rate. */
  price: Readonly<Record<string, MicroUsd>>
  held: MicroUsd
  /** Of tools that the provider ran. */
  toolCalls?: number | undefined
  cache: string
  limits: Readonly<Record<string, string>>
  /** The sandbox played the provider. */
  sandbox?: true | undefined
}
