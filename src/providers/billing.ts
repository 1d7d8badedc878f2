/** The billing system, by our own contract for it: docs/billing-api.md. */
import * as z from 'zod'
import type { Charge } from '../domain/charge.ts'
import { checkStatus, UpstreamFailure } from '../upstream/outcome.ts'
import { type RestOptions, restCall } from './rest-call.ts'

export interface Billing {
  /**
   * The same charge is charged once, however often it is told. `refused`: it will not be taken as it is. Throws
   * `UpstreamFailure` where it must be told again.
   */
  charge(charge: Charge, signal: AbortSignal): Promise<{ transactionId: string } | { refused: string }>
}

const tryTimeoutMs = 10_000
const limitMs = 30_000
const charged = z.object({ transaction_id: z.string().min(1).max(200) })
const refusal = z.object({ error: z.object({ code: z.string().regex(/^[\w.-]{1,64}$/) }) })
/** Of the address or the credential, not of the charge: the operator's to put right, and no reason to park anything. */
const misconfigured = [401, 403, 404, 405]
/** Nothing of the charge either: it may go better later. */
const passing = [408, 425]

export const createBilling = (options: RestOptions): Billing => ({
  charge: (charge, signal) =>
    restCall(options, {
      request: {
        method: 'POST',
        path: '/v1/charges',
        headers: { 'content-type': 'application/json', 'idempotency-key': charge.id },
        body: JSON.stringify(toJson(charge)),
      },
      tryTimeoutMs,
      limitMs,
      signal,
      read(status, json, headers) {
        if (status === 200 || status === 201) return { transactionId: charged.parse(json()).transaction_id }
        if (misconfigured.includes(status)) throw new UpstreamFailure('config', { status })
        if (passing.includes(status)) throw new UpstreamFailure('server', { status })
        if (status >= 400 && status < 500 && status !== 429) return { refused: `${status} ${codeOf(json)}`.trim() }
        checkStatus({ status, headers, body: undefined }, options.clock.wallNow())
        throw new UpstreamFailure('poison', { status })
      },
    }),
})

/** Its name for the reason; never its words, which may hold anything. */
function codeOf(json: () => unknown): string {
  try {
    const parsed = refusal.safeParse(json())
    return parsed.success ? parsed.data.error.code : ''
  } catch {
    // A refusal without a readable reason is a refusal.
    return ''
  }
}

const toJson = ({ id, accountId, amount, occurredAt, operations }: Charge) => ({
  id,
  account: accountId,
  amount_micro_usd: amount,
  currency: 'USD',
  occurred_at: occurredAt.toISOString(),
  detail: { operations: operations.map((each) => ({ id: each.id, amount_micro_usd: each.amount })) },
})
