/** Payments by card. One row each; its state only moves on, and `succeeded` is final. */
import type { NewPayment, Payment, PaymentState } from '../../../src/domain/payment.ts'
import type { PaymentMove, PaymentStore } from '../../../src/ports.ts'
import type { Sql } from './client.ts'
import type { ConnectedCluster } from './connect-cluster.ts'

export function createPaymentStore({ cluster }: { cluster: Pick<ConnectedCluster, 'read' | 'write'> }): PaymentStore {
  const findOnPrimary = async (accountId: string, paymentId: string) => {
    const rows = await cluster.read('find payment', { reads: 'primary' }, (sql) => selectOne(sql, accountId, paymentId))
    return rows.map(toPayment)[0]
  }

  return {
    async begin(payment) {
      const { accountId, idempotencyKey } = payment
      const find = async () => {
        const rows = await cluster.read('find payment', { reads: 'primary' }, (sql) =>
          selectByKey(sql, accountId, idempotencyKey),
        )
        return rows.map(toPayment)[0]
      }
      const run = async (sql: Sql) => {
        const [row] = await insertPayment(sql, payment)
        return row && toPayment(row)
      }
      const made = await cluster.write('begin payment', { accountId }, run, { lookup: find })
      const found = made ?? (await find())
      if (!found) throw new TypeError('a payment was neither made nor found')
      return { payment: found, isNew: found.id === payment.id }
    },

    async find(accountId, paymentId) {
      const rows = await cluster.read('find payment', { reads: 'own', accountId }, (sql) =>
        selectOne(sql, accountId, paymentId),
      )
      return rows.map(toPayment)[0]
    },

    async list(accountId, { limit, before = lastId }) {
      const rows = await cluster.read('list payments', { reads: 'own', accountId }, (sql) =>
        selectPayments(sql, accountId, before, limit),
      )
      return rows.map(toPayment)
    },

    async resume(accountId, paymentId) {
      // Where COMMIT got no answer nobody resumes it: as `processing` it is asked for in the background.
      const rows = await cluster.write('resume payment', { accountId }, (sql) =>
        updateResumed(sql, accountId, paymentId),
      )
      return rows.length > 0
    },

    async move(accountId, paymentId, to) {
      const run = async (sql: Sql) => {
        const [row] = await updateState(sql, accountId, paymentId, to)
        return row && { payment: toPayment(row), was: row.was }
      }
      // Told again it changes nothing.
      const again = () => cluster.write('move payment again', { accountId }, run)
      const moved = await cluster.write('move payment', { accountId }, run, { lookup: again })
      if (moved) return moved
      const payment = await findOnPrimary(accountId, paymentId)
      return payment && { payment, was: payment.state }
    },

    async park(accountId, paymentId, problem) {
      await cluster.write('park payment', { accountId }, (sql) => updateProblem(sql, accountId, paymentId, problem))
    },

    async takeOpen(max) {
      // Of all accounts: nobody reads his own write there.
      const rows = await cluster.write('take open payments', { accountId: nobody }, (sql) => updateDue(sql, max))
      return rows.map(toPayment)
    },
  }
}

const nobody = '00000000-0000-0000-0000-000000000000'
const lastId = 'ffffffff-ffff-ffff-ffff-ffffffffffff'

interface PaymentRow {
  account_id: string
  payment_id: string
  idempotency_key: string
  amount: string
  currency: Payment['currency']
  payment_method: string
  sandbox: boolean
  state: PaymentState
  intent_id: string | null
  decline_code: string | null
  created_at: Date
}

const toPayment = (row: PaymentRow): Payment => ({
  id: row.payment_id,
  accountId: row.account_id,
  idempotencyKey: row.idempotency_key,
  amount: Number(row.amount),
  currency: row.currency,
  paymentMethod: row.payment_method,
  sandbox: row.sandbox,
  state: row.state,
  intentId: row.intent_id ?? undefined,
  declineCode: row.decline_code ?? undefined,
  createdAt: row.created_at,
})

const columns = (sql: Sql) => sql`
  account_id, payment_id, idempotency_key, amount, currency, payment_method, sandbox, state, intent_id, decline_code,
  created_at`

/** Whoever began it asks for half a minute; the background begins after that. */
const insertPayment = (sql: Sql, payment: NewPayment) => sql<PaymentRow[]>`
  insert into payments (account_id, payment_id, idempotency_key, amount, currency, payment_method, sandbox, ask_at)
  values (${payment.accountId}, ${payment.id}, ${payment.idempotencyKey}, ${payment.amount}, ${payment.currency},
    ${payment.paymentMethod}, ${payment.sandbox ?? false}, now() + interval '45 s')
  on conflict (account_id, idempotency_key) do nothing
  returning ${columns(sql)}`

const selectByKey = (sql: Sql, accountId: string, key: string) => sql<PaymentRow[]>`
  select ${columns(sql)} from payments where account_id = ${accountId} and idempotency_key = ${key}`

const selectOne = (sql: Sql, accountId: string, paymentId: string) => sql<PaymentRow[]>`
  select ${columns(sql)} from payments where account_id = ${accountId} and payment_id = ${paymentId}`

const selectPayments = (sql: Sql, accountId: string, before: string, limit: number) => sql<PaymentRow[]>`
  select ${columns(sql)} from payments where account_id = ${accountId} and payment_id < ${before}
  order by payment_id desc limit ${limit}`

/** Nothing has come of it until then: it begins anew, also for those who ask for it in the background. */
const updateResumed = (sql: Sql, accountId: string, paymentId: string) => sql<object[]>`
  update payments set state = 'processing', ask_at = now() + interval '45 s', created_at = now()
  where account_id = ${accountId} and payment_id = ${paymentId} and state = 'created'
  returning payment_id`

/** Its intent, once known, stays; and what a webhook has told meanwhile is not taken back to "nothing was sent". */
const updateState = (sql: Sql, accountId: string, paymentId: string, { state, intentId, declineCode }: PaymentMove) =>
  sql<(PaymentRow & { was: PaymentState })[]>`
  with before as (
    select state as was from payments where account_id = ${accountId} and payment_id = ${paymentId} for update
  )
  update payments
  set state = ${state}, intent_id = coalesce(intent_id, ${intentId ?? null}), decline_code = ${declineCode ?? null}
  from before
  where account_id = ${accountId} and payment_id = ${paymentId} and state <> 'succeeded'
    and (${state} <> 'created' or (state = 'processing' and intent_id is null))
  returning ${columns(sql)}, was`

const updateProblem = (sql: Sql, accountId: string, paymentId: string, problem: string) => sql`
  update payments set problem = ${problem} where account_id = ${accountId} and payment_id = ${paymentId}`

/** What another pod is at is passed over. Nothing that fell due longer ago is young enough: the index is read no further. */
const updateDue = (sql: Sql, max: number) => sql<PaymentRow[]>`
  update payments
  set ask_at = now() + least(
    greatest(now() - created_at, interval '45 s'),
    case state when 'failed' then interval '30 days' else interval '1 h' end
  )
  where (account_id, payment_id) in (
    select account_id, payment_id from payments
    where state in ('processing', 'requires_action', 'failed') and (state <> 'failed' or intent_id is not null)
      and problem is null and ask_at between now() - interval '30 days' and now()
      and created_at > now() - interval '30 days'
    order by ask_at limit ${max} for update skip locked
  )
  returning ${columns(sql)}`
