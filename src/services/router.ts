/** The routing table in force and the providers behind it: what a request may be tried on, and what would happen to one. */
import { ApiError } from '../errors.ts'
import type { ModelProvider } from '../providers/openai.ts'
import { type Explanation, explainRoute } from '../routing/explain.ts'
import { type PlannedTarget, planRoute, type RouteQuestion, type RouteState } from '../routing/plan.ts'
import type { ProviderRow, RoutingTable } from '../routing/table.ts'

export interface Choice {
  provider: ModelProvider
  planned: PlannedTarget
}

export interface Router {
  /** What to try, in order. @throws ApiError where there is nothing. */
  choose(question: RouteQuestion): Choice[]
  /** @throws ApiError that names the field at fault. */
  explain(body: Record<string, unknown>): Explanation
  /** Another table takes over; requests under way end as they began. */
  use(table: RoutingTable): void
  table(): RoutingTable
  /** Those that `*` leads to, in order: what they list can be asked for. */
  openProviders(): ModelProvider[]
}

export interface RouterOptions {
  random: () => number
  table: RoutingTable
  /** Breakers and limits of the same provider live on from table to table. */
  createProvider(row: ProviderRow): ModelProvider
  circuitName(provider: string, model: string): string
}

export function createRouter({ random, table: first, createProvider, circuitName }: RouterOptions): Router {
  let table = first
  let providers = new Map<string, { row: string; provider: ModelProvider }>()

  function use(next: RoutingTable) {
    table = next
    const before = providers
    providers = new Map()
    for (const row of next.providers.values()) {
      const same = before.get(row.name)
      const text = JSON.stringify(row)
      providers.set(row.name, same?.row === text ? same : { row: text, provider: createProvider(row) })
    }
  }
  use(first)

  const upstreamOf = (name: string) => providers.get(name)!.provider.upstream
  /** Open circuits keep their place: the guard of the call decides at the moment of the call. */
  const live: RouteState = {
    random,
    inFlight: (name) => upstreamOf(name).bulkhead.inUse,
    firstTokenMs: (name, model) => upstreamOf(name).circuit(model).firstTokenMs,
    openForMs: () => 0,
  }
  const now: RouteState = {
    ...live,
    openForMs: (name, model) => upstreamOf(name).circuit(model).breaker.refusesForMs(),
  }

  return {
    choose(question) {
      const plan = planRoute(table, question, live)
      const choices = plan.flatMap((planned) =>
        planned.use ? [{ planned, provider: providers.get(planned.provider)!.provider }] : [],
      )
      if (choices.length > 0) return choices
      if (providers.size === 0) throw new ApiError('provider_not_configured')
      const why = plan[0]?.reason
      throw new ApiError('model_not_found', {
        param: 'model',
        ...(why !== undefined && { message: `No target of this model can take the request: ${why}.` }),
      })
    },
    explain: (body) => explainRoute(table, body, { state: now, circuitName }),
    use,
    table: () => table,
    openProviders() {
      const names = new Set(table.models.get('*')?.targets.map((target) => target.provider))
      return [...names].map((name) => providers.get(name)!.provider)
    },
  }
}
