/**
 * Payments by card. Money becomes credit in one place, `learn`, whoever tells of it first: the answer to the call, a
 * webhook, or a look-up. The credit bears the payment's id, so it is given once; it is given before the payment is noted
 * as succeeded, so that a crash in between is made good by the next who tells.
 */
import { type NewPayment, type Payment, toCents } from '../domain/payment.ts'
import { ApiError } from '../errors.ts'
import type { Clock, Credits, Log, Metrics, PaymentStore, WriteMode } from '../ports.ts'
import type { Intent, Stripe, StripeAnswer } from '../providers/stripe.ts'
import type { StripeEvent } from '../providers/stripe-webhook.ts'
import { instruments } from '../telemetry/instruments.ts'
import { UpstreamFailure } from '../upstream/outcome.ts'
import { atMost, startBackground } from './background.ts'

export interface PaymentsOptions {
  clock: Clock
  random: () => number
  newId: () => string
  store: PaymentStore
  credits: Credits
  /** Undefined: not configured. */
  stripe: Stripe | undefined
  /** The sandbox plays Stripe. @default false */
  sandbox?: boolean
  mode: Pick<WriteMode, 'readOnly'>
  metrics: Metrics
  log: Log
}

export interface Payments {
  /**
   * The same key is the same payment: `onKnown` is called where it was asked for before. Throws where it was declined
   * or nothing came of it.
   */
  pay(order: Omit<NewPayment, 'id'>, onKnown?: () => void): Promise<ShownPayment>
  show(accountId: string, paymentId: string): Promise<ShownPayment>
  /** False: it concerns no payment of ours. */
  hear(event: StripeEvent): Promise<boolean>
  stop(options: { timeoutMs: number }): Promise<void>
}

export interface ShownPayment {
  payment: Payment
  /** Where the payer has to act: with this the browser goes on. */
  clientSecret?: string | undefined
}

const everyMs = 15_000
const maxLookUps = 10
/** Stripe forgets a key after 24 hours: later the same call would be a second payment. */
const askAgainForMs = 23 * 3_600_000
const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export function createPayments(options: PaymentsOptions): Payments {
  const { clock, random, newId, store, credits, stripe, sandbox = false, mode, metrics, log } = options

  const configured = (): Stripe => {
    if (stripe) return stripe
    throw new ApiError('provider_not_configured', { message: 'Payments are not configured here.' })
  }

  async function learn(payment: Payment, intent: Intent): Promise<Payment> {
    const { accountId, id, amount } = payment
    const problem = mismatch(payment, intent)
    if (problem) return park(payment, problem)
    if (intent.state === 'succeeded') await credits.grant(accountId, { id, kind: 'payment', amount })
    return move(payment, { state: intent.state, intentId: intent.id, declineCode: intent.declineCode })
  }

  async function move(payment: Payment, to: Parameters<PaymentStore['move']>[2]): Promise<Payment> {
    const moved = await store.move(payment.accountId, payment.id, to)
    if (!moved) return payment
    // By what it was then: the answer and the webhook tell of the same end.
    if (moved.payment.state !== moved.was) metrics.count(instruments.payments, { state: moved.payment.state })
    return moved.payment
  }

  async function park(payment: Payment, problem: string): Promise<Payment> {
    await store.park(payment.accountId, payment.id, problem)
    metrics.count(instruments.payments, { state: 'parked' })
    log.error('a payment needs a person', { account_id: payment.accountId, detail: `${payment.id}: ${problem}` })
    return payment
  }

  /** What it is to the caller. */
  async function settle(payment: Payment, answer: StripeAnswer): Promise<ShownPayment> {
    switch (answer.outcome) {
      case 'unknown':
        return { payment }
      case 'refused':
        await move(payment, { state: 'created' })
        throw refused(answer)
      case 'declined': {
        const { declineCode, intentId } = answer
        return paidOrThrow(shown(await move(payment, { state: 'failed', intentId, declineCode })))
      }
      case 'intent':
        return paidOrThrow(shown(await learn(payment, answer.intent), answer.intent))
    }
  }

  async function ask(payment: Payment): Promise<ShownPayment> {
    let answer: StripeAnswer
    try {
      answer = await configured().pay(payment)
    } catch (error) {
      if (error instanceof UpstreamFailure) await move(payment, { state: 'created' })
      throw error
    }
    return settle(payment, answer)
  }

  async function lookUp(stripe: Stripe, payment: Payment): Promise<void> {
    if (payment.intentId !== undefined) {
      await learn(payment, await stripe.find(payment.intentId))
    } else if (clock.wallNow() - payment.createdAt.getTime() > askAgainForMs) {
      await park(payment, 'Stripe never told whether it was made')
    } else {
      const answer = await stripe.pay(payment)
      // An earlier call had no effect either: Stripe would have answered this one the same.
      if (answer.outcome === 'refused') await move(payment, { state: 'failed' })
      else if (answer.outcome === 'declined') await move(payment, { state: 'failed', ...answer })
      else if (answer.outcome === 'intent') await learn(payment, answer.intent)
    }
  }

  const background = startBackground({
    clock,
    random,
    everyMs,
    async round() {
      if (!stripe || mode.readOnly) return false
      const open = await store.takeOpen(maxLookUps)
      let failed: unknown
      for (const payment of open) {
        // One that can never be looked up must not stand before the others.
        await lookUp(stripe, payment).catch((error) => {
          failed = error
        })
      }
      if (failed !== undefined) throw failed
      return open.length === maxLookUps
    },
    // Stripe or the database is away: those that were taken come up again.
    onError: (error) => log.warn('open payments could not be looked up', { error: String(error) }),
  })

  return {
    async pay(order, onKnown = () => {}) {
      configured()
      const { payment, isNew } = await store.begin({ ...order, id: newId(), sandbox })
      if (isNew) return ask(payment)
      if (!isSame(payment, order)) throw new ApiError('idempotency_mismatch')
      if (payment.state !== 'created') {
        onKnown()
        return paidOrThrow(await lookedAt(payment))
      }
      const resumed: Payment = { ...payment, state: 'processing' }
      return (await store.resume(payment.accountId, payment.id)) ? ask(resumed) : { payment: resumed }
    },

    async show(accountId, paymentId) {
      const payment = uuid.test(paymentId) ? await store.find(accountId, paymentId) : undefined
      if (!payment) throw new ApiError('payment_not_found')
      return lookedAt(payment)
    },

    async hear({ type, intent }) {
      if (!intent) return false
      const { account_id: accountId = '', payment_id: paymentId = '' } = intent.metadata
      const isOurs = uuid.test(accountId) && uuid.test(paymentId)
      const payment = isOurs ? await store.find(accountId, paymentId) : undefined
      if (!payment) {
        log.warn('Stripe told of a payment that is not ours', { detail: `${intent.id} ${type}` })
        return false
      }
      await learn(payment, intent)
      return true
    },

    async stop({ timeoutMs }) {
      await atMost(clock, timeoutMs, background.stop())
    },
  }

  /**
   * The client's secret is kept nowhere here: Stripe is asked for it, and for how things stand. Of one that failed too:
   * who has the secret may try another card.
   */
  async function lookedAt(payment: Payment): Promise<ShownPayment> {
    const isUnfinished = payment.state === 'requires_action' || payment.state === 'failed'
    if (!stripe || !isUnfinished || payment.intentId === undefined) return { payment }
    try {
      const intent = await stripe.find(payment.intentId)
      return shown(mode.readOnly ? payment : await learn(payment, intent), intent)
    } catch (error) {
      if (!(error instanceof UpstreamFailure)) throw error
      // How it stood last is an answer too.
      return { payment }
    }
  }
}

const shown = (payment: Payment, intent?: Intent): ShownPayment => ({
  payment,
  ...(payment.state === 'requires_action' && { clientSecret: intent?.clientSecret }),
})

function paidOrThrow(found: ShownPayment): ShownPayment {
  const { state, declineCode: code = 'generic_decline', id } = found.payment
  if (state === 'failed' || state === 'canceled') {
    throw new ApiError('payment_declined', {
      message: `The payment was declined (${code}). Use another payment method and a new Idempotency-Key.`,
      members: { decline_code: code, payment_id: id },
    })
  }
  return found
}

const isSame = (payment: Payment, order: Omit<NewPayment, 'id'>) =>
  payment.amount === order.amount &&
  payment.currency === order.currency &&
  payment.paymentMethod === order.paymentMethod

/** What would make credit of money that is not the payment's. */
function mismatch(payment: Payment, intent: Intent): string | undefined {
  const cents = toCents(payment.amount)
  if (payment.intentId !== undefined && payment.intentId !== intent.id) return `${intent.id} is another intent`
  if (intent.currency !== payment.currency.toLowerCase()) return `${intent.id} is in another currency`
  if (intent.amountCents !== cents) return `${intent.id} is over ${intent.amountCents} cents, not ${cents}`
  if (intent.state === 'succeeded' && intent.receivedCents !== cents) {
    return `${intent.id} brought ${intent.receivedCents} cents, not ${cents}`
  }
  return undefined
}

function refused({ code, param }: { code: string; param: string | undefined }): ApiError {
  const field = param === 'payment_method' || param === 'amount' || param === 'currency' ? param : undefined
  if (field)
    return new ApiError('invalid_body', { message: `${field}: Stripe does not take it (${code}).`, param: field })
  return new ApiError('upstream_invalid', { message: `Stripe does not take this payment (${code}).` })
}
