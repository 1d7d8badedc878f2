/**
 * Middleware order and route table. Probes and signing in come before authentication; no other body of a stranger is
 * read, and those are small and counted by address.
 */

import type { MiddlewareHandler } from 'hono'
import { Hono } from 'hono'
import { ApiError } from './errors.ts'
import { type AddressLimitOptions, addressLimit } from './middleware/address-limit.ts'
import type { Admission } from './middleware/admission.ts'
import {
  type AuthenticateOptions,
  authenticate,
  createStillGood,
  requireAdministrator,
  requireKeyManager,
  requireScope,
  requireSession,
} from './middleware/authenticate.ts'
import { cors } from './middleware/cors.ts'
import { type Check, guard } from './middleware/guard.ts'
import { createOnError } from './middleware/on-error.ts'
import { type RateLimitOptions, rateLimit } from './middleware/rate-limit.ts'
import { type ReadOnlyOptions, refuseReadOnly } from './middleware/read-only.ts'
import type { AppContext, AppEnv } from './middleware/request-context.ts'
import type { Log } from './ports.ts'
import { RememberingRouter } from './router.ts'
import { type AdminRouteOptions, adminRoutes } from './routes/admin.ts'
import { type AdminAccountRouteOptions, adminAccountRoutes } from './routes/admin-accounts.ts'
import { type AdminMoneyRouteOptions, adminMoneyRoutes } from './routes/admin-money.ts'
import { type AdminUsageRouteOptions, adminUsageRoutes } from './routes/admin-usage.ts'
import { adviceRoutes } from './routes/advice.ts'
import { type ApiKeyRouteOptions, apiKeyRoutes } from './routes/api-keys.ts'
import { type BillingRouteOptions, billingRoutes } from './routes/billing.ts'
import { type ConsoleRouteOptions, consoleRoutes } from './routes/console-pages.ts'
import { type DeploymentRouteOptions, deploymentRoutes } from './routes/deployments.ts'
import { type ExportRouteOptions, exportRoutes } from './routes/export.ts'
import { gpuRoutes } from './routes/gpu.ts'
import { type GuardrailRouteOptions, guardrailRoutes } from './routes/guardrails.ts'
import { type InstanceProxyRouteOptions, instanceProxyRoutes } from './routes/instance-proxy.ts'
import { type InstanceRouteOptions, instanceRoutes } from './routes/instances.ts'
import { type OpenAiRouteOptions, openAiRoutes } from './routes/openai.ts'
import { type PaymentRouteOptions, paymentRoutes } from './routes/payments.ts'
import { type PreferenceRouteOptions, preferenceRoutes } from './routes/preferences.ts'
import { priceRoutes } from './routes/prices.ts'
import { type ProbeOptions, probeRoutes } from './routes/probes.ts'
import { type ReceiptRouteOptions, receiptKeyRoutes, receiptRoutes } from './routes/receipts.ts'
import { type ReferenceRouteOptions, referenceRoutes } from './routes/reference.ts'
import { type ReservationRouteOptions, reservationRoutes } from './routes/reservations.ts'
import { type RouteRouteOptions, routeRoutes } from './routes/route.ts'
import { type SignInRouteOptions, signInRoutes } from './routes/sign-in.ts'
import { type UserRouteOptions, userRoutes } from './routes/user.ts'
import { type WebhookRouteOptions, webhookRoutes } from './routes/webhooks.ts'
import type { Advise } from './services/advice.ts'
import type { Offers } from './services/offers.ts'
import type { Prices } from './services/prices.ts'

export interface AppOptions {
  requestContext: MiddlewareHandler<AppEnv>
  /** Of pages that may call from a browser. */
  corsOrigins: readonly string[] | undefined
  log: Log
  probes: ProbeOptions
  reference: ReferenceRouteOptions
  authenticate: AuthenticateOptions
  rateLimit: RateLimitOptions
  readOnly: ReadOnlyOptions
  admission: Admission
  openAi: OpenAiRouteOptions
  offers: Offers
  prices: Prices
  advise: Advise
  preferences: PreferenceRouteOptions
  instances: InstanceRouteOptions
  reservations: ReservationRouteOptions
  instanceProxy: Omit<InstanceProxyRouteOptions, 'stillGood'>
  deployments: DeploymentRouteOptions
  route: RouteRouteOptions
  payments: PaymentRouteOptions
  webhooks: WebhookRouteOptions
  admin: Omit<AdminRouteOptions, 'stillGood'>
  billing: BillingRouteOptions
  guardrails: GuardrailRouteOptions
  receipts: ReceiptRouteOptions
  export: ExportRouteOptions
  adminMoney: AdminMoneyRouteOptions
  adminUsage: AdminUsageRouteOptions
  addressLimit: Omit<AddressLimitOptions, 'purpose' | 'perMinute'>
  signIn: SignInRouteOptions
  user: UserRouteOptions
  apiKeys: ApiKeyRouteOptions
  adminAccounts: AdminAccountRouteOptions
  console: Omit<ConsoleRouteOptions, 'strangers'>
}

/** What changes an account, rents or pays, by any method but GET. */
const writing = [
  '/api/v1/auth/apikey',
  '/api/v1/auth/apikeys',
  '/api/v1/auth/apikeys/*',
  '/api/v1/user',
  '/api/v1/user/password',
  '/api/v1/admin/accounts/*',
  '/api/v1/gpu/instances',
  '/api/v1/gpu/instances/:id',
  '/api/v1/gpu/instances/:id/:action{start|stop}',
  '/api/v1/gpu/deployments',
  '/api/v1/gpu/deployments/*',
  '/api/v1/gpu/reservations',
  '/api/v1/gpu/preferences/*',
  '/api/v1/billing/payments',
  '/api/v1/guardrails',
]
/** For those who have no credential yet. A session is written, too: none begins while nothing may be. */
const signingIn = ['register', 'login', 'refresh', 'logout'].map((name) => `/api/v1/auth/${name}`)
/** Requests a minute of one address without a credential: an office's, not a machine's that guesses. */
const strangersPerMinute = 60
/** Stripe sends from few addresses. */
const webhooksPerMinute = 600
const maxShownPath = 200
const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']

export function createApp(options: AppOptions): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ router: new RememberingRouter() })
  const onError = createOnError({ log: options.log })
  app.onError(onError)
  app.use(options.requestContext)
  if (options.corsOrigins) app.use(cors(options.corsOrigins))

  app.route('/', probeRoutes(options.probes))
  app.route('/', referenceRoutes(options.reference))
  app.route('/api/v1/receipts', receiptKeyRoutes(options.receipts))

  const limitOf = (purpose: string, perMinute: number) => addressLimit({ ...options.addressLimit, purpose, perMinute })
  // Before authentication: a signature stands for the credential.
  app.use('/api/v1/webhooks/*', guard(refuseReadOnly(options.readOnly), limitOf('webhooks', webhooksPerMinute)))
  app.route('/api/v1/webhooks', webhookRoutes(options.webhooks))

  const strangers = [refuseReadOnly(options.readOnly), limitOf('strangers', strangersPerMinute)]
  for (const path of signingIn) app.post(path, guard(...strangers))
  app.route('/', consoleRoutes({ ...options.console, strangers }))
  app.route('/api/v1/auth', signInRoutes(options.signIn))

  const methodNotAllowed = (c: AppContext): ApiError | undefined => {
    const allowed = methods.filter((method) =>
      app.router.match(method, c.req.path)[0].some(([[, route]]) => route.method === method),
    )
    if (allowed.length === 0) return undefined
    const message = `${c.req.path.slice(0, maxShownPath)} takes ${allowed.join(', ')}, not ${c.req.method}.`
    return new ApiError('method_not_allowed', { message, headers: { allow: allowed.join(', ') } })
  }
  /** Who may go there without a credential need not have one to hear that the method is another. */
  const open = new Set([...signingIn, '/api/v1/webhooks/stripe', '/api/v1/health', '/api/v1/receipts/keys'])
  const refuseOtherMethods: Check = (c) => {
    const refusal = open.has(c.req.path) ? methodNotAllowed(c) : undefined
    if (refusal) throw refusal
    return undefined
  }

  const stillGood = createStillGood(options.authenticate)
  const known = [authenticate(options.authenticate), rateLimit(options.rateLimit)]
  app.use('/v1/*', guard(...known, requireScope('inference'), options.admission.check('inference')))
  app.use('/api/v1/*', guard(refuseOtherMethods, ...known))
  app.use('/api/v1/gpu/*', guard(requireScope('gpu'), options.admission.check('search')))
  app.use('/api/v1/route/*', guard(requireScope('inference'), options.admission.check('search')))
  app.use('/api/v1/billing/*', guard(requireScope('billing')))
  app.use('/api/v1/guardrails/*', guard(requireScope('billing')))
  app.use('/api/v1/receipts/*', guard(requireScope('inference', 'billing')))
  app.use('/api/v1/user/export', guard(requireScope('billing')))
  app.use('/api/v1/admin/*', guard(requireAdministrator, requireScope('admin')))
  app.put('/api/v1/user/password', guard(requireSession))
  app.delete('/api/v1/user', guard(requireSession))
  for (const path of ['apikey', 'apikeys', 'apikeys/*']) app.use(`/api/v1/auth/${path}`, guard(requireKeyManager))
  for (const path of writing) app.use(path, guard(refuseReadOnly(options.readOnly)))
  app.route('/v1', openAiRoutes(options.openAi))
  app.route('/api/v1/gpu', gpuRoutes({ offers: options.offers, ...options.preferences }))
  app.route('/api/v1/gpu/prices', priceRoutes({ prices: options.prices }))
  app.route('/api/v1/gpu/advice', adviceRoutes({ advise: options.advise }))
  app.route('/api/v1/gpu/preferences', preferenceRoutes(options.preferences))
  app.route('/api/v1/gpu/instances', instanceRoutes(options.instances))
  app.route('/api/v1/gpu/reservations', reservationRoutes(options.reservations))
  app.route('/api/v1/gpu/instances', instanceProxyRoutes({ ...options.instanceProxy, stillGood }))
  app.route('/api/v1/gpu/deployments', deploymentRoutes(options.deployments))
  app.route('/api/v1/route', routeRoutes(options.route))
  app.route('/api/v1/billing', paymentRoutes(options.payments))
  app.route('/api/v1/admin', adminRoutes({ ...options.admin, stillGood }))
  app.route('/api/v1/admin', adminUsageRoutes(options.adminUsage))
  app.route('/api/v1/billing', billingRoutes(options.billing))
  app.route('/api/v1/guardrails', guardrailRoutes(options.guardrails))
  app.route('/api/v1/receipts', receiptRoutes(options.receipts))
  app.route('/api/v1/user', exportRoutes(options.export))
  app.route('/api/v1/admin/accounts', adminMoneyRoutes(options.adminMoney))
  app.route('/api/v1/auth', apiKeyRoutes(options.apiKeys))
  app.route('/api/v1/user', userRoutes(options.user))
  app.route('/api/v1/admin/accounts', adminAccountRoutes(options.adminAccounts))

  // Answers instead of throwing: an error from here would pass by the middleware that ends the request.
  app.notFound((c: AppContext) => {
    const message = `There is no route ${c.req.method} ${c.req.path.slice(0, maxShownPath)}.`
    return onError(methodNotAllowed(c) ?? new ApiError('unknown_route', { message }), c)
  })
  return app
}
