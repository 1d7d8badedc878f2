/** Shapes of answers. A test holds what the gateway really answers against them, field by field. */
import * as z from 'zod'
import { marketNames } from '../domain/offer.ts'
import { endReasons } from '../domain/rental.ts'
import { shownKinds, sumKinds, usageGroupings } from '../domain/statement.ts'

const time = z.iso.datetime({ offset: true })
const money = z.string().regex(/^-?\d+\.\d{2,6}$/)
const currency = z.literal('USD')
const market = z.enum(marketNames)
const nextCursor = z.string().optional()
const count = z.int().min(0)

const accountLimits = {
  requests_per_minute: z.int().nullable(),
  tokens_per_minute: z.int().nullable(),
  max_concurrent: z.int().nullable(),
}
const user = z
  .object({
    id: z.string(),
    email: z.string().nullable(),
    name: z.string(),
    role: z.enum(['user', 'administrator']).meta({ description: 'What the account may do.' }),
    created_at: time,
  })
  .meta({ id: 'User' })
const tokens = z
  .object({ access_token: z.string(), refresh_token: z.string(), expires_at: time })
  .meta({ id: 'Tokens' })
export const userAnswer = z.object({ user })
export const loginAnswer = z.object({ user, tokens })
export const tokensAnswer = z.object({ tokens })

const key = {
  id: z.string(),
  name: z.string(),
  prefix: z.string(),
  scopes: z.array(z.string()),
  limits: z.object({
    ...accountLimits,
    models: z.array(z.string()).nullable(),
    budget_per_day: money.nullable(),
    budget_per_month: money.nullable(),
    currency,
  }),
  created_at: time,
  expires_at: time.nullable(),
  last_used_at: time.nullable(),
}
export const madeKey = z.object({ api_key: z.string(), ...key }).meta({ id: 'MadeApiKey' })
export const keysAnswer = z.object({ apikeys: z.array(z.object(key).meta({ id: 'ApiKey' })) })

const offer = z
  .object({
    id: z.string(),
    provider: market,
    gpu_model: z.string(),
    gpu_count: count,
    vram_gb: z.number(),
    price_per_hour: z.number(),
    price_parts: z.object({ gpu: z.number(), disk: z.number(), egress: z.number() }),
    stopped_per_hour: z.number().optional(),
    min_bid: z.number().optional(),
    minimum_hours: z.number(),
    interruptible: z.boolean(),
    location: z.string().nullable(),
    reliability: z.number().nullable(),
    verified: z.boolean().nullish(),
    gpu_frac: z.number().nullish(),
    cuda: z.number().nullish(),
    inet_down: z.number().nullish(),
    inet_up: z.number().nullish(),
    disk_space_gb: z.number().nullish(),
    available: z.boolean(),
    as_of: time,
  })
  .meta({ id: 'Offer' })
const marketLists = z.array(
  z.object({
    name: market,
    status: z.enum(['ok', 'stale', 'throttled', 'down', 'not_configured']),
    age_ms: count.nullable().optional(),
    as_of: time.optional(),
    error: z.string().optional(),
  }),
)
export const offersAnswer = z.object({ offers: z.array(offer), providers: marketLists })
export const pricesAnswer = z.object({
  days: z.int(),
  currency,
  prices: z.array(
    z.object({
      gpu_model: z.string(),
      provider: market,
      region: z.string().optional(),
      price_per_gpu_hour: z.number(),
      as_of: time,
      percentile: z.number(),
      summary: z.string(),
      hours: count,
      percentiles: z.record(z.string(), z.number()),
      bid: z.object({
        price_per_gpu_hour: z.number().nullable(),
        hours: count,
        holds_in_percent: z.number().optional(),
        basis: z.string(),
      }),
      interval: z.enum(['hour', 'day']),
      history: z.array(z.object({ at: time, price: z.number() })),
    }),
  ),
  summary: z.string().optional(),
})

export const preference = z
  .object({
    name: z.string(),
    models: z.array(z.string()),
    filters: z.record(z.string(), z.unknown()),
    max_price: z.number().optional(),
    fallback_price_percent: z.number().optional(),
    updated_at: time,
  })
  .meta({ id: 'Preference' })
export const preferencesAnswer = z.object({ preferences: z.array(preference) })
export const preferenceTried = z.object({
  preference: z.string(),
  taken: z.string().nullable(),
  models: z.array(
    z.object({
      gpu_model: z.string(),
      outcome: z.enum(['taken', 'next', 'too_dear', 'over_max_price', 'no_fit', 'not_listed']),
      reason: z.string(),
      listed: count,
      fitting: count,
      found: count,
      price_limit: z.number().optional(),
      cheapest: offer.optional(),
    }),
  ),
  providers: marketLists,
})

export const adviceAnswer = z.object({
  from: z.iso.date(),
  to: z.iso.date(),
  currency,
  summary: z.string(),
  models: z.array(
    z.object({
      model: z.string(),
      verdict: z.enum(['rent', 'buy', 'unknown']),
      reason: z.string(),
      tokens: z.object({ input: count, cached_input: count, output: count, total: count }),
      paid: money,
      bought_per_million: money.nullable(),
      rented_per_million: money.nullable().optional(),
      rented_per_million_busy: money.optional(),
      per_month: z.object({ bought: money, rented: money, best: money }).optional(),
      break_even: z.object({ tokens_per_hour: z.number(), tokens_per_month: z.number() }).nullable().optional(),
      machine: z
        .object({
          offer_id: z.string(),
          provider: market,
          gpu_model: z.string(),
          gpu_count: count,
          price_per_hour: z.number(),
          machines: z.number(),
          worth_renting: z.number(),
          utilisation: z.number(),
          tokens_per_hour: z.number(),
          capacity_tokens_per_hour: z.number(),
          estimate: z.object({
            output_tokens_per_second: z.number(),
            billions_of_parameters: z.number(),
            basis: z.string(),
          }),
        })
        .optional(),
    }),
  ),
  providers: marketLists,
})

const soldBySandbox = z
  .literal(true)
  .optional()
  .meta({ description: 'The sandbox sold it: nothing real came of it, and no money changed hands.' })
const instanceStatus = z.enum(['pending', 'starting', 'running', 'stopping', 'stopped', 'failed', 'unknown'])
export const instance = z
  .object({
    id: z.string(),
    provider: market,
    offer_id: z.string(),
    status: instanceStatus,
    reason: z.enum(endReasons).optional(),
    gpu_model: z.string(),
    gpu_count: count,
    location: z.string().nullable(),
    image: z.string(),
    label: z.string().optional(),
    price_per_hour: z.number(),
    cost_so_far: z.number(),
    created_at: time,
    started_at: time.optional(),
    ended_at: time.optional(),
    address: z.string().optional(),
    endpoints: z.array(z.object({ port: z.int().nullable(), origin: z.string() })).optional(),
    replaces: z.string().optional(),
    replaced_by: z.string().optional(),
    reservation_id: z.string().optional(),
    deployment_id: z.string().optional(),
    sandbox: soldBySandbox,
  })
  .meta({ id: 'Instance' })
export const instancesAnswer = z.object({ instances: z.array(instance), next_cursor: nextCursor })
export const reservation = z.object({
  id: z.string(),
  status: z.string(),
  count,
  instances: z.array(instance),
})
export const deployment = z
  .object({
    id: z.string(),
    name: z.string(),
    model: z.string(),
    status: z.enum(['starting', 'ready', 'degraded', 'failed', 'ending']),
    reason: z.string().optional(),
    replicas: count,
    ready_replicas: count,
    max_price: z.number(),
    max_hours: z.number().optional(),
    fallbacks: z.array(z.string()),
    instances: z.array(
      z.object({
        id: z.string(),
        state: z.enum(['starting', 'ready', 'draining']),
        status: instanceStatus,
        provider: market,
        gpu_model: z.string(),
        gpu_count: count,
        price_per_hour: z.number(),
        cost_so_far: z.number(),
      }),
    ),
    cost_so_far: z.number(),
    created_at: time,
  })
  .meta({ id: 'Deployment' })
export const deploymentsAnswer = z.object({ deployments: z.array(deployment), next_cursor: nextCursor })

export const balance = z.object({ available: money, held: money, currency }).meta({ id: 'Balance' })
export const grant = z.object({ id: z.string(), amount: money, currency, balance })
export const transactionsAnswer = z.object({
  transactions: z.array(
    z
      .object({
        id: z.string(),
        at: time,
        kind: z.enum(shownKinds),
        amount: money,
        currency,
        request_id: z.string().optional(),
        instance_id: z.string().optional(),
        note: z.string().optional(),
      })
      .meta({ id: 'Transaction' }),
  ),
  next_cursor: nextCursor,
})
const usageGroup = z.object({
  group: z.string(),
  requests: count,
  input_tokens: count,
  cached_input_tokens: count,
  output_tokens: count,
  cost: money,
})
export const usageAnswer = z.object({
  group_by: z.enum(usageGroupings),
  from: z.iso.date(),
  to: z.iso.date(),
  currency,
  usage: z.array(usageGroup),
})
export const usageOfAllAnswer = z.object({
  group_by: z.enum(sumKinds),
  month: z.string(),
  currency,
  usage: z.array(usageGroup),
})
export const rentalsOfAllAnswer = z.object({
  instances: z.array(
    z.object({
      id: z.string(),
      account_id: z.string(),
      provider: market,
      status: instanceStatus,
      gpu_model: z.string(),
      gpu_count: count,
      location: z.string().nullable(),
      price_per_hour: z.number(),
      cost_so_far: z.number(),
      created_at: time,
    }),
  ),
  next_cursor: nextCursor,
})
export const payment = z
  .object({
    id: z.string(),
    status: z.enum(['created', 'processing', 'requires_action', 'succeeded', 'failed', 'canceled']),
    amount: money,
    currency,
    created_at: time,
    decline_code: z.string().optional(),
    client_secret: z.string().optional(),
    sandbox: soldBySandbox,
  })
  .meta({ id: 'Payment' })

const railLimit = money.meta({ description: 'US dollars as text; null: there is none.' })
const guardrailMode = z.enum(['off', 'shadow', 'enforce'])
export const guardrails = z
  .object({
    enabled: z.boolean(),
    mode: guardrailMode,
    currency,
    windows: z.array(
      z.object({ name: z.string(), limit: railLimit.nullable(), spent: money, frees_at: time.nullable() }),
    ),
  })
  .meta({ id: 'GuardRails' })
export const guardrailCheck = z.object({
  allowed: z.literal(true),
  mode: guardrailMode,
  would_exceed: z
    .object({ window: z.string(), limit: railLimit, spent: money, asked: money, frees_at: time.nullable() })
    .optional(),
})

export const receipt = z
  .object({
    request_id: z.string(),
    at: time,
    key_id: z.string(),
    endpoint: z.string(),
    status: z.int(),
    streamed: z.boolean(),
    model: z.string(),
    provider: z.string(),
    tries: z.array(
      z.object({ provider: z.string(), model: z.string(), outcome: z.string(), reason: z.string(), ms: z.number() }),
    ),
    phases_ms: z.object({ total: z.number(), provider: z.number() }),
    usage: z.object({
      input_tokens: count,
      cached_input_tokens: count,
      output_tokens: count,
      tool_calls: count.optional(),
      source: z.enum(['provider', 'estimated', 'cache', 'none']),
    }),
    price: z.record(z.string(), z.string()),
    held: money,
    cost: money,
    currency,
    cache: z.string(),
    limits: z.record(z.string(), z.string()),
    sandbox: soldBySandbox,
    signature: z.object({ algorithm: z.literal('Ed25519'), key_id: z.string(), value: z.string() }),
  })
  .meta({ id: 'Receipt' })
export const receiptKeys = z.object({
  keys: z.array(
    z.object({
      kty: z.literal('OKP'),
      crv: z.literal('Ed25519'),
      x: z.string(),
      kid: z.string(),
      alg: z.literal('EdDSA'),
      use: z.literal('sig'),
    }),
  ),
})
export const explanation = z.object({
  plan: z.array(z.object({ provider: z.string(), model: z.string(), use: z.boolean(), reason: z.string() })),
})

const breakerState = z.enum(['closed', 'forced_closed', 'half_open', 'open', 'forced_open'])
export const breaker = z
  .object({
    name: z.string(),
    state: breakerState,
    failure_rate: z.number(),
    calls: count,
    next_probe_at: time.nullable(),
    pods: z.array(z.object({ pod: z.string(), state: breakerState })),
  })
  .meta({ id: 'Breaker' })
export const breakersAnswer = z.object({ breakers: z.array(breaker) })
export const mode = z.object({
  read_only: z.boolean(),
  reason: z.string().nullable(),
  since: time.nullable(),
  stored: z.boolean(),
})
export const faultsAnswer = z.object({
  faults: z.array(
    z.object({
      target: z.string(),
      kind: z.string(),
      share: z.number(),
      seed: z.int(),
      after_tokens: count.optional(),
      retry_after: count.optional(),
      ms: count.optional(),
      expires_at: time,
    }),
  ),
})
export const requestsAnswer = z.object({
  requests: z.array(
    z.object({
      request_id: z.string(),
      at: time,
      method: z.string(),
      route: z.string(),
      status: z.int(),
      duration_ms: z.number(),
      account_id: z.string().optional(),
      key_id: z.string().optional(),
      provider: z.string().optional(),
      attempts: count,
      code: z.string().optional(),
    }),
  ),
})
const accountShape = {
  ...user.shape,
  disabled: z.boolean(),
  disabled_at: time.nullable(),
  limits: z.object(accountLimits),
}
export const account = z.object(accountShape).meta({ id: 'Account' })
export const changedAccount = z.object({
  ...accountShape,
  temporary_password: z.string().optional(),
  temporary_password_expires_at: time.optional(),
})
export const accountsAnswer = z.object({ accounts: z.array(account), next_cursor: nextCursor })

const model = z
  .object({ id: z.string(), object: z.literal('model'), created: z.int(), owned_by: z.string() })
  .meta({ id: 'Model' })
export const modelAnswer = model
export const modelsAnswer = z.object({
  object: z.literal('list'),
  data: z.array(model),
  providers: z.array(z.object({ name: z.string(), status: z.enum(['ok', 'error']) })),
})
/** What providers answer is passed on as it is: named is what every one of them has. */
export const chatCompletion = z.looseObject({
  id: z.string(),
  object: z.literal('chat.completion'),
  created: z.int(),
  model: z.string(),
  choices: z.array(
    z.looseObject({
      index: count,
      message: z.looseObject({ role: z.string(), content: z.string().nullish() }),
      finish_reason: z.string().nullish(),
    }),
  ),
  usage: z.looseObject({ prompt_tokens: count, completion_tokens: count, total_tokens: count }).nullish(),
})
export const completion = z.looseObject({
  id: z.string(),
  object: z.literal('text_completion'),
  model: z.string(),
  choices: z.array(z.looseObject({ index: count, text: z.string() })),
})
export const embeddings = z.looseObject({
  object: z.literal('list'),
  data: z.array(z.looseObject({ index: count, embedding: z.union([z.array(z.number()), z.string()]) })),
  model: z.string(),
})
export const response = z.looseObject({
  id: z.string(),
  object: z.literal('response'),
  status: z.string(),
  model: z.string(),
  output: z.array(z.looseObject({ type: z.string() })),
})
export const moderation = z.looseObject({
  id: z.string(),
  model: z.string(),
  results: z.array(z.looseObject({ flagged: z.boolean() })),
})
export const images = z.looseObject({
  created: z.int(),
  data: z.array(z.looseObject({ url: z.string().optional(), b64_json: z.string().optional() })),
})
export const transcript = z.looseObject({ text: z.string() })

export const state = z.object({ status: z.string() })
export const health = z.object({
  status: z.enum(['ok', 'degraded']),
  version: z.string(),
  uptime_s: count,
  sandbox: z.array(z.string()),
  checks: z.record(
    z.string(),
    z.object({
      status: z.enum(['ok', 'degraded', 'down', 'in_process', 'not_configured']),
      circuits_open: count.optional(),
      reason: z.string().optional(),
    }),
  ),
})
const rows = z.array(z.looseObject({}))
export const accountExport = z.looseObject({
  exported_at: time,
  account: z.looseObject({}).nullable(),
  keys: rows,
  sessions: rows,
  guardrails: z.looseObject({}),
  balance,
  transactions: rows,
  payments: rows,
  preferences: rows,
  deployments: rows,
  rentals: rows,
  usage: rows,
  receipts: rows,
})
export const received = z.object({ received: z.literal(true) })
export const openApi = z.looseObject({ openapi: z.string(), info: z.looseObject({}), paths: z.looseObject({}) })

export const problem = z
  .looseObject({
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    param: z.string().optional(),
    request_id: z.string(),
  })
  .meta({ id: 'Problem' })
export const openAiError = z
  .object({
    error: z.looseObject({
      message: z.string(),
      type: z.string(),
      param: z.string().nullable(),
      code: z.string().nullable(),
    }),
  })
  .meta({ id: 'OpenAiError' })
