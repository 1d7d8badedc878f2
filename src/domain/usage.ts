/** That a request was served: what the ledger needs to know of it. */
export interface UsageEvent {
  accountId: string
  requestId: string
  keyId: string
  /** When it ended, in ms since 1970. */
  at: number
  endpoint: string
  provider: string
  /** As the provider calls it. */
  model: string
  /** 499 = the caller left before the end. */
  status: number
  streamed: boolean
}
