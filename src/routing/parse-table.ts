/**
 * The routing file's document to a table: every field checked, unknown ones refused by name, all or nothing. What is
 * wrong is said with the field's path and what is allowed, never with its value, which may be a credential.
 */
import * as z from 'zod'
import { microUsd } from '../domain/money.ts'
import { contextWindowOf, priceOf } from './prices.ts'
import {
  type Capability,
  capabilities,
  type ModelRow,
  noTimeouts,
  type Price,
  type ProviderRow,
  type RoutingTable,
  strategies,
  type TargetRow,
  type TargetTimeouts,
} from './table.ts'

/** One line: where, what is wrong, what is allowed. */
export class RoutingError extends Error {
  override name = 'RoutingError'
}

/** Names become labels of metrics, and what must be told apart is kept few. */
const limits = { providers: 64, models: 256, targets: 16, headers: 32, keys: 64, prefillFields: 16, conditions: 16 }

/** @throws RoutingError at the first thing that is not allowed. */
export function parseRoutingTable(document: unknown): RoutingTable {
  const parsed = file.safeParse(document)
  if (!parsed.success) {
    const { issues } = parsed.error
    // A misspelt field is unknown and the right one missing: the first says more.
    const { path, message } = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]!
    const missing = path.length > 0 && valueAt(document, path) === undefined
    throw refusal(path, missing ? `is missing: it ${message}` : message)
  }
  const { providers, models } = parsed.data
  const table: RoutingTable = {
    providers: new Map(Object.entries(providers).map(([name, given]) => [name, provider(name, given)])),
    models: new Map(Object.entries(models).map(([name, given]) => [name, model(name, given)])),
  }
  checkNames(table)
  return table
}

function refusal(path: readonly PropertyKey[], message: string): RoutingError {
  const where = path.map((key, i) => {
    if (typeof key === 'number') return `[${key}]`
    const name = String(key)
    if (!/^[A-Za-z_][\w-]*$/.test(name)) return `[${JSON.stringify(name.slice(0, 128))}]`
    return i === 0 ? name : `.${name}`
  })
  return new RoutingError(`${where.join('') || 'the file'} ${message}`.replaceAll(/\s+/g, ' '))
}

const valueAt = (document: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce((value: unknown, key) => (value as Record<PropertyKey, unknown> | null | undefined)?.[key], document)

// Shapes. Each message continues the sentence that the field's path begins.

const strict = <S extends z.ZodRawShape>(shape: S) => {
  const allowed = Object.keys(shape).join(', ')
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? `has an unknown field, ${(issue.keys as string[]).join(', ').slice(0, 128)}; allowed are ${allowed}`
        : `must be an object of ${allowed}`,
  })
}

function mapOf<T extends z.ZodType>(values: T, atMost: number, of: string) {
  const error = `must be an object of ${of}`
  return z
    .record(z.string(), values, { error })
    .refine((map) => Object.keys(map).length <= atMost, { error: `must hold at most ${atMost} ${of}` })
}

function listOf<T extends z.ZodType>(values: T, atMost: number, of: string) {
  const error = `must be a list of ${of}`
  return z.array(values, { error }).max(atMost, { error: `must hold at most ${atMost} ${of}` })
}

const listOfOnce = <T extends z.ZodType<string>>(values: T, atMost: number, of: string) =>
  listOf(values, atMost, of).refine((list) => new Set(list).size === list.length, { error: 'holds something twice' })

const words = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, { error: `must be one of ${values.join(', ')}` })

const number = (least: number, most: number) => {
  const error = `must be a number from ${least} to ${most}`
  return z.number({ error }).min(least, { error }).max(most, { error })
}

const integer = (least: number, most: number) => {
  const error = `must be an integer from ${least} to ${most}`
  return z.int({ error }).min(least, { error }).max(most, { error })
}

const above0 = (most: number) => {
  const error = `must be a number above 0, at most ${most}`
  return z.number({ error }).gt(0, { error }).max(most, { error })
}

const matching = (pattern: RegExp, allowed: string) => {
  const error = `must be ${allowed}`
  return z.string({ error }).regex(pattern, { error })
}

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }
const durationMs = matching(/^\d+(\.\d+)?(ms|s|m|h)$/, 'a duration such as 250ms, 10s or 5m')
  .transform((text) => {
    const unit = text.replace(/^[\d.]+/, '') as keyof typeof unitMs
    return Number(text.slice(0, -unit.length)) * unitMs[unit]
  })
  // A timer longer than 2^31 ms would fire at once.
  .refine((ms) => ms >= 1 && ms <= 2_147_483_647, { error: 'must be a duration from 1ms to 596h' })

const modelName = /^[A-Za-z0-9@][\w@.:/+-]{0,127}$/
const modelNameRule = '1 to 128 letters, digits or _ @ . : / + -, beginning with a letter, a digit or @'
const providerName = /^[A-Za-z0-9][\w.-]{0,39}$/
const providerNameRule = '1 to 40 letters, digits or _ . -, beginning with a letter or a digit'

const baseUrl = z
  .string({ error: 'must be an http:// or https:// URL' })
  .refine(
    (text) => {
      const { protocol, search, hash, username, password } = URL.parse(text) ?? { protocol: '' }
      return /^https?:$/.test(protocol) && !search && !hash && !username && !password
    },
    { error: 'must be an http:// or https:// URL without a query and without credentials' },
  )
  .transform((text) => text.replace(/(?<!\/)\/+$/, ''))

/** Those that say where a message ends or for how long a connection lives are the HTTP client's. */
const ownHeaders =
  /^(host|connection|keep-alive|content-length|content-type|transfer-encoding|te|trailer|upgrade|expect|proxy-.*)$/i
const headers = mapOf(
  matching(/^[\x20-\x7e]{0,4096}$/, 'at most 4096 printable ASCII characters'),
  limits.headers,
  'header names and their values',
).superRefine((map, context) => {
  for (const name of Object.keys(map)) {
    const error = !/^[\w!#$%&'*+.^`|~-]{1,128}$/.test(name)
      ? 'is not the name of a header'
      : ownHeaders.test(name)
        ? 'is set by the gateway itself: leave it out'
        : undefined
    if (error) context.addIssue({ code: 'custom', path: [name], message: error })
  }
})

const dollars = number(0, 1_000_000)
const price = strict({
  input_per_million: dollars.optional(),
  output_per_million: dollars.optional(),
  cached_input_per_million: dollars.optional(),
  per_image: dollars.optional(),
  per_minute: dollars.optional(),
  per_million_characters: dollars.optional(),
  per_tool_call: dollars.optional(),
})

const timeouts = strict({
  headers: durationMs.optional(),
  first_token: durationMs.optional(),
  idle: durationMs.optional(),
  total: durationMs.optional(),
  tokens_per_second: above0(100_000).optional(),
})

const prefillRule = {
  error: `must be true, false or an object of at most ${limits.prefillFields} body fields other than model, messages, stream`,
}
const prefill = z.union(
  [
    z.boolean(prefillRule),
    z
      .record(z.string(), z.json(prefillRule), prefillRule)
      .refine((fields) => Object.keys(fields).length <= limits.prefillFields, prefillRule)
      .refine((fields) => !['model', 'messages', 'stream'].some((name) => Object.hasOwn(fields, name)), prefillRule),
  ],
  prefillRule,
)

const conditionRule = {
  error: `must be a text of at most 512 characters, or a list of 1 to ${limits.conditions} of them`,
}
const metadataValue = z.string(conditionRule).max(512, conditionRule)
const condition = z.union(
  [
    metadataValue.transform((value) => [value]),
    z.array(metadataValue, conditionRule).min(1, conditionRule).max(limits.conditions, conditionRule),
  ],
  conditionRule,
)

/** What a model says for all its targets, and a target for itself. */
const ofModelOrTarget = {
  price: price.optional(),
  provider_cost: price.optional(),
  context_window: integer(1, 100_000_000).optional(),
  prefill: prefill.optional(),
  capabilities: listOfOnce(words(capabilities), capabilities.length, 'capabilities').optional(),
  timeouts: timeouts.optional(),
}

const target = strict({
  provider: matching(/./, 'the name of a provider of this file'),
  model: matching(modelName, modelNameRule).optional(),
  weight: above0(1_000_000).default(1),
  priority: integer(0, 1_000_000).optional(),
  when: mapOf(condition, limits.conditions, 'metadata fields and the values they may have').default({}),
  ...ofModelOrTarget,
})

const file = strict({
  providers: mapOf(
    strict({
      kind: words(['openai']),
      base_url: baseUrl,
      api_keys: listOfOnce(
        matching(/^[\x21-\x7e]{1,1000}$/, '1 to 1000 printable characters without spaces'),
        limits.keys,
        'API keys',
      ).default([]),
      headers: headers.default({}),
      limits: strict({
        requests_per_minute: integer(1, 100_000_000).optional(),
        tokens_per_minute: integer(1, 1_000_000_000_000).optional(),
        max_concurrent: integer(1, 1_000_000).optional(),
      }).optional(),
    }),
    limits.providers,
    'providers',
  ),
  models: mapOf(
    strict({
      targets: listOf(target, limits.targets, 'targets').min(1, { error: 'must hold at least one target' }),
      strategy: words(strategies).default('priority'),
      ...ofModelOrTarget,
    }),
    limits.models,
    'models',
  ),
})

type File = z.output<typeof file>
type GivenModel = File['models'][string]
type GivenTarget = GivenModel['targets'][number]

// Rows.

const provider = (name: string, given: File['providers'][string]): ProviderRow => ({
  name,
  kind: given.kind,
  baseUrl: given.base_url,
  apiKeys: given.api_keys,
  ...(given.limits && {
    limits: {
      requestsPerMinute: given.limits.requests_per_minute,
      tokensPerMinute: given.limits.tokens_per_minute,
      maxConcurrent: given.limits.max_concurrent,
    },
  }),
  headers: Object.fromEntries(Object.entries(given.headers).map(([key, value]) => [key.toLowerCase(), value])),
})

const model = (name: string, given: GivenModel): ModelRow => ({
  name,
  strategy: given.strategy,
  targets: given.targets.map((one, i) => targetRow(name, given, one, i)),
})

function targetRow(name: string, all: GivenModel, one: GivenTarget, position: number): TargetRow {
  const open = name === '*'
  const names = [one.model, open ? undefined : name].filter((known) => known !== undefined)
  const said = { ...saidPrice(all.price), ...saidPrice(one.price) }
  const contextWindow = one.context_window ?? all.context_window
  return {
    provider: one.provider,
    model: one.model,
    priority: one.priority ?? position,
    weight: one.weight,
    when: one.when,
    price: priceOf(said, names),
    providerCost: billedRates(all.provider_cost, one.provider_cost),
    contextWindow: contextWindow ?? (names[0] === undefined ? undefined : contextWindowOf(names[0])),
    capabilities: (one.capabilities ?? all.capabilities) as Capability[] | undefined,
    prefill: prefillFields(one.prefill ?? all.prefill),
    timeouts: { ...noTimeouts, ...limitsOf(all.timeouts), ...limitsOf(one.timeouts) },
    ...(open && { said: { price: said, contextWindow } }),
  }
}

/** Without the fields of which nothing was said, so that one object can be laid over another. */
const given = <T extends object>(fields: { [K in keyof T]: T[K] | undefined }): Partial<T> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>

function saidPrice(price: GivenModel['price'] = {}): Partial<Price> {
  const micro = (dollars: number | undefined) => (dollars === undefined ? undefined : microUsd(dollars))
  return given<Price>({
    inputPerMillion: micro(price.input_per_million),
    outputPerMillion: micro(price.output_per_million),
    cachedInputPerMillion: micro(price.cached_input_per_million),
    perImage: micro(price.per_image),
    perMinute: micro(price.per_minute),
    perMillionCharacters: micro(price.per_million_characters),
    perToolCall: micro(price.per_tool_call),
  })
}

/** Nothing is built in: what a provider bills is between it and the operator. Cached tokens cost as others unless it is said. */
function billedRates(all: GivenModel['provider_cost'], one: GivenModel['provider_cost']): Partial<Price> | undefined {
  if (!all && !one) return undefined
  const said = { ...saidPrice(all), ...saidPrice(one) }
  const { inputPerMillion } = said
  return inputPerMillion === undefined ? said : { cachedInputPerMillion: inputPerMillion, ...said }
}

const limitsOf = (timeouts: GivenModel['timeouts'] = {}): Partial<TargetTimeouts> =>
  given<TargetTimeouts>({
    headersMs: timeouts.headers,
    firstTokenMs: timeouts.first_token,
    idleMs: timeouts.idle,
    totalMs: timeouts.total,
    minTokensPerSecond: timeouts.tokens_per_second,
  })

function prefillFields(prefill: GivenModel['prefill']): Record<string, unknown> | undefined {
  if (prefill === true) return {}
  return prefill || undefined
}

// What no single field can tell.

/** Names of circuits that are not models', and of upstreams that are not providers of the file. */
const takenModel = 'other'
const takenProviders = ['vastai', 'ionet', 'billing', 'stripe', 'rented']
const taken = 'has a name that the gateway uses itself: choose another'

function checkNames({ providers, models }: RoutingTable) {
  if (providers.size === 0) throw refusal(['providers'], 'must hold at least one provider')
  if (models.size === 0) throw refusal(['models'], 'must hold at least one model; "*" stands for every other name')
  for (const name of providers.keys()) {
    const path = ['providers', name]
    if (!providerName.test(name)) throw refusal(path, `must have a name of ${providerNameRule}`)
    if (takenProviders.includes(name)) throw refusal(path, taken)
  }
  for (const { name, targets } of models.values()) {
    const path = ['models', name]
    if (name !== '*' && !modelName.test(name)) throw refusal(path, `must have a name of ${modelNameRule}, or be "*"`)
    if (name === takenModel) throw refusal(path, taken)
    const seen = new Set<string>()
    for (const [i, one] of targets.entries()) {
      const here = [...path, 'targets', i]
      if (!providers.has(one.provider)) {
        const there = [...providers.keys()].join(', ').slice(0, 512)
        throw refusal([...here, 'provider'], `is not a provider of this file; there are ${there}`)
      }
      if (one.model === takenModel) throw refusal([...here, 'model'], taken)
      const key = JSON.stringify([one.provider, one.model ?? name, one.when])
      if (seen.has(key)) throw refusal(here, 'is there twice: one provider and model, under one condition')
      seen.add(key)
    }
  }
}
