/** The routing table in force and the providers behind it: what a request may be tried on, and what would happen to one. */
import { ApiError } from '../errors.ts'
import type { ModelProvider } from '../providers/openai.ts'
import { type Explanation, explainRoute } from '../routing/explain.ts'
import {
  type OwnRows,
  type PlannedTarget,
  planRoute,
  type RouteQuestion,
  type RouteState,
  rowsFor,
} from '../routing/plan.ts'
import type { ModelRow, ProviderRow, RoutingTable } from '../routing/table.ts'
import { refuseOtherSpellings } from './spellings.ts'
import { refuseStoredState } from './stored-state.ts'

export interface Choice {
  provider: ModelProvider
  planned: PlannedTarget
}

/** Who asks: what an account has of its own is tried for it alone. */
export interface Caller {
  accountId: string
  /** The only models that may be asked for. @default all */
  allowedModels?: readonly string[] | undefined
}

/** What accounts serve themselves. */
export interface OwnTargets {
  /** Undefined: nothing, which is the usual case. */
  rowsOf(accountId: string): OwnRows | undefined
  /** By a target's name. */
  provider(name: string): ModelProvider | undefined
}

export interface Router {
  /** What to try, in order. @throws ApiError where there is nothing. */
  choose(question: RouteQuestion, caller: Caller): Choice[]
  /** @throws ApiError that names the field at fault. */
  explain(body: Record<string, unknown>, caller: Caller): Explanation
  /** The rows that a name leads to, each under the name that it goes by. */
  rowsFor(asked: string, caller: Caller): [name: string, row: ModelRow][]
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
  /** @default nobody serves anything */
  own?: OwnTargets | undefined
  /** Tries of a request in all. @default as many as there are targets */
  maxAttempts?: number
}

/** Machines come up within minutes; a look now and then finds them. */
const noMachineRetryMs = 10_000
const noMachine = 'No machine of this deployment answers at the moment, and nobody else is asked for it.'

export function createRouter({
  random,
  table: first,
  createProvider,
  own,
  maxAttempts = Infinity,
}: RouterOptions): Router {
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

  const providerOf = (name: string) => (providers.get(name)?.provider ?? own?.provider(name))!
  const upstreamOf = (name: string) => providerOf(name).upstream
  /** Open circuits keep their place: the guard of the call decides at the moment of the call. */
  const live: RouteState = {
    random,
    inFlight: (name) => upstreamOf(name).bulkhead.inUse,
    firstTokenMs: (name, model) => upstreamOf(name).circuit(model).firstToken.ms(),
    openForMs: () => 0,
    silentForMs: (name, model) => upstreamOf(name).silentForMs(model),
    maxOwnTargets: Math.max(1, maxAttempts - 1),
  }
  const now: RouteState = {
    ...live,
    openForMs: (name, model) => upstreamOf(name).circuit(model).breaker.refusesForMs(),
    hasCredential: (name) => providerOf(name).hasCredential(),
  }

  /** A key that may not ask for a model does not come to it by way of its account's own either. */
  function ownRows({ accountId, allowedModels }: Caller): OwnRows | undefined {
    const rows = own?.rowsOf(accountId)
    if (!rows || !allowedModels) return rows
    const allowed = [...rows].map(([name, { row, next }]) => {
      const mayFollow = next.filter((each) => each === name || allowedModels.includes(each))
      return [name, { row, next: mayFollow }] as const
    })
    return new Map(allowed)
  }

  return {
    choose(question, caller) {
      const rows = ownRows(caller)
      const plan = planRoute(table, question, live, rows)
      const choices = plan.flatMap((planned) =>
        planned.use ? [{ planned, provider: providerOf(planned.provider) }] : [],
      )
      const [first] = choices
      if (first) {
        first.provider.upstream.circuit(first.planned.model).firstToken.asked()
        return choices
      }
      if (question.models.some((name) => rows?.has(name))) {
        throw new ApiError('upstream_unavailable', { message: noMachine, retryAfterMs: noMachineRetryMs })
      }
      if (providers.size === 0) throw new ApiError('provider_not_configured')
      const why = plan[0]?.reason
      throw new ApiError('model_not_found', {
        param: 'model',
        ...(why !== undefined && { message: `No target of this model can take the request: ${why}.` }),
      })
    },
    explain(body, caller) {
      refuseStoredState(body)
      refuseOtherSpellings(body)
      const circuitName = (name: string, model: string) => upstreamOf(name).circuitName(model)
      return explainRoute(table, body, { state: now, circuitName, own: ownRows(caller) })
    },
    rowsFor: (asked, caller) => rowsFor(table, ownRows(caller), asked),
    use,
    table: () => table,
    openProviders() {
      const names = new Set(table.models.get('*')?.targets.map((target) => target.provider))
      return [...names].map((name) => providers.get(name)!.provider)
    },
  }
}
