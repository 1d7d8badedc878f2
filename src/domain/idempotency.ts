/** What is known of an Idempotency-Key: who executes for it, or how that ended. */

/** How long a key is kept. */
export const keptMs = 48 * 60 * 60_000
/** An execution that has not been heard of for so long is taken for dead. */
export const silentMs = 60_000

export interface IdempotencyKey {
  accountId: string
  /** SHA-256 of method, route and the caller's key. */
  digest: string
}

/** One execution: the key is its own for as long as the row bears its request id. */
export interface HeldKey extends IdempotencyKey {
  requestId: string
}

export interface StoredAnswer {
  status: number
  headers: Record<string, string>
  body: Uint8Array
}

/** `too_large`: it was executed, and its answer is longer than is kept. `lost`: it was executed, or may have been. */
export type Ending = { outcome: 'answered'; answer: StoredAnswer } | { outcome: 'too_large' | 'lost' }

/** `requestId`: of the execution that has the key, or had it. */
export type Claim =
  | { state: 'claimed' }
  | { state: 'mismatch' }
  | { state: 'running'; requestId: string }
  /** It has gone silent. `podId`: the pod it ran in; undefined = that pod is back, and what it noted is in the books. */
  | { state: 'silent'; requestId: string; podId: string | undefined }
  | { state: 'ended'; requestId: string; ending: Ending }
