/**
 * Receipts of requests. One is written when what it tells is settled, some 100 ms after the answer; who asks for it
 * sooner is let wait a little, and what cannot be on its way is not waited for.
 */
import type { Principal } from '../domain/principal.ts'
import { type Receipt, startOf } from '../domain/receipt.ts'
import { ApiError } from '../errors.ts'
import type { Clock, Statements } from '../ports.ts'
import { sleep } from '../resilience/clock.ts'
import type { ReceiptSigner, Signature } from './receipt-signer.ts'

export interface ReceiptsOptions {
  clock: Clock
  statements: Pick<Statements, 'receipt'>
  signer: ReceiptSigner
}

export interface Receipts {
  /** @throws ApiError where the caller has no such receipt, or no right to it */
  find(caller: Principal, requestId: string, signal: AbortSignal): Promise<Receipt & { signature: Signature }>
  publicKey: ReceiptSigner['publicKey']
}

/** Of requests that began so lately. */
const recentMs = 5_000
const pollMs = 200
const maxPolls = 5
/** At once: those beyond are answered as it is. */
const maxWaiting = 100

export function createReceipts({ clock, statements, signer }: ReceiptsOptions): Receipts {
  let waiting = 0

  async function written(accountId: string, requestId: string, signal: AbortSignal): Promise<Receipt | undefined> {
    const found = await statements.receipt(accountId, requestId)
    const age = clock.wallNow() - (startOf(requestId) ?? -Infinity)
    if (found || Math.abs(age) > recentMs || waiting >= maxWaiting) return found
    waiting++
    try {
      for (let poll = 0; poll < maxPolls; poll++) {
        await sleep(clock, pollMs, signal)
        const late = await statements.receipt(accountId, requestId)
        if (late) return late
      }
      return undefined
    } catch (error) {
      throw signal.aborted ? new ApiError('client_closed', { cause: error }) : error
    } finally {
      waiting--
    }
  }

  return {
    async find({ accountId, keyId, scopes }, requestId, signal) {
      const receipt = await written(accountId, requestId.toLowerCase(), signal)
      // What an account has spent is for those who may see its bills; a key's own requests are its own.
      const mayRead = scopes.includes('billing') || receipt?.key_id === keyId
      if (!receipt || !mayRead) throw new ApiError('receipt_not_found')
      return signer.sign(receipt)
    },
    publicKey: signer.publicKey,
  }
}
