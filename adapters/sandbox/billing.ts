/** The billing system, by our own contract for it: docs/billing-api.md. What it was told is kept for tests to count. */
import type { Clock } from '../../src/ports.ts'
import type { Answer } from './send.ts'
import {
  findRoute,
  isRecord,
  jsonAnswer,
  type Route,
  type Vendor,
  type VendorCall,
  type WholeAnswer,
} from './vendor.ts'

/** A charge that was made, in the order of the first time that each was told. */
export interface MadeCharge {
  id: string
  account: string
  amount_micro_usd: number
  operations: readonly { id: string; amount_micro_usd: number }[]
  transactionId: string
  /** How often it was told. */
  told: number
  at: number
}

/** Older ones are forgotten, which only a sandbox may do. */
const maxCharges = 100_000

export interface BillingVendor extends Vendor {
  charges: readonly MadeCharge[]
}

export function createBilling({ clock, key }: { clock: Clock; key: string | undefined }): BillingVendor {
  const charges: MadeCharge[] = []
  const known = new Map<string, { content: string; charge: MadeCharge }>()
  let transactions = 0

  function charge({ headers, body }: VendorCall): Answer {
    if (!headers['content-type']?.startsWith('application/json')) return billingError(415)
    const wrong = problemOf(body)
    if (wrong) return refuse(422, 'invalid_charge', wrong)
    const told = body as ChargeBody
    if (headers['idempotency-key'] !== told.id) {
      return refuse(400, 'idempotency_key_mismatch', 'The Idempotency-Key is not the id of the charge.')
    }
    const content = JSON.stringify(told)
    const before = known.get(told.id)
    if (before && before.content !== content) {
      return refuse(409, 'charge_exists', 'A charge with this id and other content exists.')
    }
    const made = before?.charge ?? make(told, content)
    made.told++
    return jsonAnswer(200, { transaction_id: made.transactionId })
  }

  function make({ id, account, amount_micro_usd, detail: { operations } }: ChargeBody, content: string): MadeCharge {
    const transactionId = `tx_${String(++transactions).padStart(8, '0')}`
    const made = { id, account, amount_micro_usd, operations, transactionId, told: 0, at: clock.now() }
    charges.push(made)
    known.set(id, { content, charge: made })
    if (charges.length > maxCharges) known.delete(charges.shift()!.id)
    return made
  }

  const routes: Route[] = [['POST', /^\/v1\/charges$/, charge]]
  return {
    charges,
    answer(call) {
      if (key !== undefined && call.headers.authorization !== `Bearer ${key}`) return billingError(401)
      return (findRoute(routes, call) ?? (() => billingError(404)))()
    },
    error: billingError,
  }
}

interface ChargeBody {
  id: string
  account: string
  amount_micro_usd: number
  currency: string
  occurred_at: string
  detail: { operations: { id: string; amount_micro_usd: number }[] }
}

const isId = (value: unknown) => typeof value === 'string' && /^[0-9a-f-]{36}$/.test(value)
const isAmount = (value: unknown) => Number.isSafeInteger(value) && (value as number) > 0

function problemOf(body: unknown): string | undefined {
  if (!isRecord(body)) return 'The body is not a JSON object.'
  if (!isId(body.id)) return 'id is not a UUID.'
  if (!isId(body.account)) return 'account is not a UUID.'
  if (!isAmount(body.amount_micro_usd)) return 'amount_micro_usd is not a positive integer.'
  if (body.currency !== 'USD') return 'currency is not USD.'
  if (Number.isNaN(Date.parse(String(body.occurred_at)))) return 'occurred_at is not a time.'
  const operations = isRecord(body.detail) ? body.detail.operations : undefined
  if (!Array.isArray(operations) || operations.length < 1 || operations.length > 500) {
    return 'detail.operations does not hold 1 to 500 operations.'
  }
  if (!operations.every((each) => isRecord(each) && isId(each.id) && isAmount(each.amount_micro_usd))) {
    return 'an operation has no id or no amount.'
  }
  const sum = operations.reduce((total, { amount_micro_usd }) => total + amount_micro_usd, 0)
  return sum === body.amount_micro_usd ? undefined : 'The operations do not add up to the amount.'
}

const refuse = (status: number, code: string, message: string): WholeAnswer =>
  jsonAnswer(status, { error: { code, message } })

function billingError(status: number, code?: string): WholeAnswer {
  const known = errors[status] ?? 'internal'
  return refuse(status, code ?? known, `The billing system answers ${status}.`)
}

const errors: Record<number, string> = {
  400: 'invalid_request',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not_found',
  409: 'charge_exists',
  413: 'too_large',
  415: 'unsupported_media_type',
  422: 'unknown_account',
  429: 'too_many_requests',
}
