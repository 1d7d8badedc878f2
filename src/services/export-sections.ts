/** What an export holds, in its order. No secret is in it: of keys and sign-ins only what their owner is shown anyway. */
import type { Deployment } from '../domain/deployment.ts'
import { formatUsd } from '../domain/money.ts'
import type { Payment } from '../domain/payment.ts'
import type { Preference } from '../domain/preference.ts'
import type { Rental } from '../domain/rental.ts'
import type { User } from '../domain/user.ts'
import type {
  Accounts,
  ApiKey,
  Deployments,
  Guardrails,
  PaymentStore,
  Preferences,
  Rentals,
  SessionRecord,
  Sessions,
  Statements,
  Users,
} from '../ports.ts'
import type { ExportSection } from './account-export.ts'
import { accountLimitsOut, keyLimitsOut } from './limit-shapes.ts'
import { balanceOut, currency, transactionOut, usageRowOut } from './money-shapes.ts'

const pageSize = 500
/** An account has no more. */
const maxDeployments = 50

export const exportSections = (ports: {
  accounts: Accounts
  users: Users
  sessions: Sessions
  paymentStore: PaymentStore
  statements: Statements
  guardrails: Guardrails
  deployments: Deployments
  rentals: Rentals
  preferences: Preferences
}): ExportSection[] => [
  {
    name: 'account',
    async one(accountId) {
      const account = await ports.users.find(accountId)
      return account && accountOut(account)
    },
  },
  { name: 'keys', one: async (accountId) => (await ports.accounts.listApiKeys(accountId)).map(keyOut) },
  { name: 'sessions', one: async (accountId) => (await ports.sessions.list(accountId)).map(sessionOut) },
  {
    name: 'guardrails',
    async one(accountId) {
      const { limits, shadow } = await ports.guardrails.state(accountId)
      const own = Object.entries(limits).map(([name, limit]) => [name, formatUsd(limit)])
      return { limits: Object.fromEntries(own), currency, shadow }
    },
  },
  { name: 'balance', one: async (accountId) => balanceOut(await ports.statements.balance(accountId)) },
  {
    name: 'transactions',
    async *pages(accountId) {
      // Each page begins where the one before ended, one row further.
      let page = await ports.statements.transactions(accountId, { limit: pageSize + 1 })
      while (page.length > 0) {
        yield page.slice(0, pageSize).map(transactionOut)
        const from = page[pageSize]
        if (!from) return
        page = await ports.statements.transactions(accountId, { limit: pageSize + 1, from })
      }
    },
  },
  {
    name: 'payments',
    async *pages(accountId) {
      let page = await ports.paymentStore.list(accountId, { limit: pageSize })
      while (page.length > 0) {
        yield page.map(paymentOut)
        page = await ports.paymentStore.list(accountId, { limit: pageSize, before: page.at(-1)?.id })
      }
    },
  },
  {
    name: 'deployments',
    async one(accountId) {
      return (await ports.deployments.list(accountId, { limit: maxDeployments })).map(deploymentOut)
    },
  },
  {
    name: 'preferences',
    one: async (accountId) => (await ports.preferences.list(accountId)).map(preferenceOut),
  },
  {
    name: 'rentals',
    async *pages(accountId) {
      let page = await ports.rentals.list(accountId, { limit: pageSize, withGone: true })
      while (page.length > 0) {
        yield page.map(rentalOut)
        page = await ports.rentals.list(accountId, { limit: pageSize, before: page.at(-1)?.id, withGone: true })
      }
    },
  },
  {
    name: 'usage',
    async *pages(accountId) {
      let page = await ports.statements.usageRows(accountId, { limit: pageSize })
      while (page.length > 0) {
        yield page.map(usageRowOut)
        page = await ports.statements.usageRows(accountId, { limit: pageSize, after: page.at(-1) })
      }
    },
  },
  {
    name: 'receipts',
    async *pages(accountId) {
      let page = await ports.statements.receipts(accountId, { limit: pageSize })
      while (page.length > 0) {
        yield page
        page = await ports.statements.receipts(accountId, { limit: pageSize, before: page.at(-1)?.request_id })
      }
    },
  },
]

const accountOut = ({ accountId, email, name, role, limits, createdAt, disabledAt }: User) => ({
  id: accountId,
  email: email ?? null,
  name,
  role,
  limits: accountLimitsOut(limits),
  created_at: createdAt,
  disabled_at: disabledAt ?? null,
})

const keyOut = ({ id, name, prefix, scopes, limits, createdAt, expiresAt, lastUsedAt }: ApiKey) => ({
  id,
  name,
  prefix,
  scopes,
  limits: keyLimitsOut(limits),
  created_at: createdAt,
  expires_at: expiresAt ?? null,
  last_used_at: lastUsedAt ?? null,
})

const sessionOut = ({ sessionId, createdAt, renewedAt, expiresAt, endedAt }: SessionRecord) => ({
  id: sessionId,
  created_at: createdAt,
  renewed_at: renewedAt,
  expires_at: expiresAt,
  ended_at: endedAt ?? null,
})

const deploymentOut = ({ id, name, model, replicas, maxPrice, fallbacks, createdAt, endAskedAt }: Deployment) => ({
  id,
  name,
  model,
  replicas,
  max_price: formatUsd(maxPrice),
  fallbacks,
  created_at: createdAt,
  end_asked_at: endAskedAt ?? null,
})

const preferenceOut = ({ name, models, filters, maxPrice, fallbackPricePercent, updatedAt }: Preference) => ({
  name,
  models,
  filters,
  max_price: maxPrice === undefined ? null : formatUsd(maxPrice),
  fallback_price_percent: fallbackPricePercent ?? null,
  updated_at: updatedAt,
})

const paymentOut = (payment: Payment) => ({
  id: payment.id,
  status: payment.state,
  amount: formatUsd(payment.amount),
  currency: payment.currency,
  payment_method: payment.paymentMethod,
  idempotency_key: payment.idempotencyKey,
  intent_id: payment.intentId ?? null,
  decline_code: payment.declineCode ?? null,
  created_at: payment.createdAt,
  ...(payment.sandbox && { sandbox: true }),
})

/** Of what it was started with only how much there is, and the environment's names: all else may be secret. */
const rentalOut = ({
  id,
  keyId,
  reservationId,
  deploymentId,
  replaces,
  replacedBy,
  spec,
  offer,
  ...rental
}: Rental) => ({
  id,
  key_id: keyId,
  reservation_id: reservationId ?? null,
  deployment_id: deploymentId ?? null,
  replaces: replaces ?? null,
  replaced_by: replacedBy ?? null,
  state: rental.state,
  reason: rental.reason ?? null,
  provider: offer.market,
  offer_id: offer.id,
  gpu_model: offer.gpuModel,
  gpu_count: offer.gpuCount,
  location: offer.location,
  price_per_hour: formatUsd(offer.pricePerHour),
  image: spec.image,
  disk_gb: spec.diskGb,
  ports: spec.ports,
  arg_count: spec.args.length,
  onstart_chars: spec.onstart?.length ?? 0,
  env_names: Object.keys(spec.env),
  label: spec.label ?? null,
  max_price: spec.maxPrice === undefined ? null : formatUsd(spec.maxPrice),
  max_hours: spec.maxHours ?? null,
  bid: spec.bid === undefined ? null : formatUsd(spec.bid),
  replace: spec.replace,
  addresses: rental.endpoints.map(({ origin }) => origin),
  created_at: rental.createdAt,
  started_at: rental.startedAt ?? null,
  ended_at: rental.endedAt ?? null,
  cost: formatUsd(rental.settled + rental.accrued),
  held: formatUsd(rental.held),
  currency,
})
