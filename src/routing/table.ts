/** The routing table: which providers serve a model, in what order, at what price and within what time. */
import { contextWindowOf, priceOf } from './prices.ts'

export interface RoutingTable {
  providers: ReadonlyMap<string, ProviderRow>
  /** By the name that callers ask for; `*` stands for every other name. */
  models: ReadonlyMap<string, ModelRow>
}

export interface ProviderRow {
  name: string
  kind: 'openai'
  /** Path prefix included, as in `https://api.openai.com/v1`. */
  baseUrl: string
  /** Tried in order; they share the provider's quota and are one failure domain. None = no credential is sent. */
  apiKeys: readonly string[]
  /** Sent with every call. */
  headers: Readonly<Record<string, string>>
  /** What the provider allows the fleet; undefined = nothing is known of a limit. */
  limits?: ProviderLimits | undefined
}

export interface ProviderLimits {
  requestsPerMinute: number | undefined
  tokensPerMinute: number | undefined
  maxConcurrent: number | undefined
}

export const strategies = ['priority', 'weighted', 'least_busy', 'latency', 'cost'] as const
export type Strategy = (typeof strategies)[number]

export interface ModelRow {
  name: string
  strategy: Strategy
  targets: readonly TargetRow[]
}

export interface TargetRow {
  provider: string
  /** The model's name at the provider; undefined = the name that was asked for. */
  model: string | undefined
  /** Lower is earlier. */
  priority: number
  /** Share among targets of equal priority. */
  weight: number
  /** Every named field of the request's metadata must have one of these values. */
  when: Readonly<Record<string, readonly string[]>>
  price: Price
  /** What the provider bills the operator; callers never see it. A rate that is not there is not known. */
  providerCost?: Partial<Price> | undefined
  /** In tokens; undefined = not known. */
  contextWindow: number | undefined
  /** What this target cannot do is not asked of it; undefined = nothing is known, so anything may be asked. */
  capabilities: readonly Capability[] | undefined
  /**
   * Continues a trailing assistant message, so that a broken answer can be gone on with. The fields are put into the
   * body of such a call, for servers that want to be told. Undefined = it does not.
   */
  prefill: Readonly<Record<string, unknown>> | undefined
  timeouts: TargetTimeouts
  /** Under `*`: what the file itself says. The rest is looked up by the name that is asked for. */
  said?: Said
}

export interface Said {
  price: Partial<Price>
  contextWindow: number | undefined
}

export const capabilities = ['tools', 'images', 'audio', 'json_schema'] as const
export type Capability = (typeof capabilities)[number]

/** Undefined = the gateway's own. */
export interface TargetTimeouts {
  headersMs: number | undefined
  firstTokenMs: number | undefined
  idleMs: number | undefined
  /** Slowest stream put up with while another target is untried, in tokens per second; undefined = any. */
  minTokensPerSecond: number | undefined
  /** Longest time for one try. */
  totalMs: number | undefined
}

/** US dollars in millionths. Undefined = not sold. */
export interface Price {
  inputPerMillion: number
  outputPerMillion: number
  cachedInputPerMillion: number
  perImage: number | undefined
  perMinute: number | undefined
  perMillionCharacters: number | undefined
  /** Of a tool that the provider runs, beside the tokens. */
  perToolCall: number | undefined
}

export const noTimeouts: TargetTimeouts = {
  headersMs: undefined,
  firstTokenMs: undefined,
  idleMs: undefined,
  minTokensPerSecond: undefined,
  totalMs: undefined,
}

/** The longest time that any try may take by the table's own word, in ms; 0 = none has one. */
export function longestTry({ models }: RoutingTable): number {
  let longest = 0
  for (const { targets } of models.values()) {
    for (const { timeouts } of targets) longest = Math.max(longest, timeouts.totalMs ?? 0)
  }
  return longest
}

/** The row of a name: its own, else that of `*`, at the prices of the name. */
export function rowFor(table: RoutingTable, asked: string): ModelRow | undefined {
  const own = table.models.get(asked)
  if (own) return own
  const open = table.models.get('*')
  if (!open) return undefined
  const known = priced.get(open) ?? new Map<string, ModelRow>()
  let row = known.get(asked)
  if (row) return row
  row = { ...open, targets: open.targets.map((target) => named(target, asked)) }
  if (known.size >= maxPriced) known.clear()
  priced.set(open, known.set(asked, row))
  return row
}

/** The same few names are asked for over and over; what callers made up must not pile up. */
const maxPriced = 1_000
const priced = new WeakMap<ModelRow, Map<string, ModelRow>>()

function named({ said, ...target }: TargetRow, asked: string): TargetRow {
  if (!said) return target
  const served = target.model ?? asked
  return {
    ...target,
    price: priceOf(said.price, [served, asked]),
    contextWindow: said.contextWindow ?? contextWindowOf(served),
  }
}

/** Without a file: every model goes to the first of `order` that there is, under its own name. */
export function defaultTable(providers: readonly ProviderRow[], order: readonly string[]): RoutingTable {
  const byName = new Map(providers.map((provider) => [provider.name, provider]))
  const first = order.find((name) => byName.has(name))
  const models = new Map<string, ModelRow>()
  if (first !== undefined) models.set('*', { name: '*', strategy: 'priority', targets: [anything(first)] })
  return { providers: byName, models }
}

const anything = (provider: string): TargetRow => ({
  provider,
  model: undefined,
  priority: 0,
  weight: 1,
  when: {},
  price: priceOf({}, []),
  contextWindow: undefined,
  capabilities: undefined,
  prefill: undefined,
  timeouts: noTimeouts,
  said: { price: {}, contextWindow: undefined },
})

/** `<provider>:<model>` of all targets that the table names: a small fixed set, fit for labels. */
export function namedTargets({ models }: RoutingTable): ReadonlySet<string> {
  const names = new Set<string>()
  for (const { name, targets } of models.values()) {
    for (const { provider, model } of targets) {
      const served = model ?? (name === '*' ? undefined : name)
      if (served !== undefined) names.add(`${provider}:${served}`)
    }
  }
  return names
}
