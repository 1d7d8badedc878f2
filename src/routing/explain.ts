/** What would happen to a request: the live planner, asked with circuits that are assumed to be open. */
import { ApiError } from '../errors.ts'
import { type OwnRows, type PlannedTarget, planRoute, type RouteState } from './plan.ts'
import { questionOf } from './question.ts'
import type { RoutingTable } from './table.ts'

const maxAssumed = 64

export interface ExplainOptions {
  state: RouteState
  /** The name of a target's circuit, as `GET /api/v1/admin/breakers` lists it. */
  circuitName(provider: string, model: string): string
  /** Of the account that asks. */
  own?: OwnRows | undefined
}

export interface Explanation {
  plan: Pick<PlannedTarget, 'provider' | 'model' | 'use' | 'reason'>[]
}

/** `body`: that of a chat call, with `assume: { open: [names of circuits] }`. @throws ApiError that names the field. */
export function explainRoute(
  table: RoutingTable,
  { assume, ...body }: Record<string, unknown>,
  { state, circuitName, own }: ExplainOptions,
): Explanation {
  const open = new Set(assumedOpen(assume ?? {}))
  const assumed: RouteState = {
    ...state,
    openForMs: (provider, model) =>
      open.has(circuitName(provider, model)) ? Number.POSITIVE_INFINITY : state.openForMs(provider, model),
  }
  const plan = planRoute(table, questionOf(body), assumed, own)
  return { plan: plan.map(({ provider, model, use, reason }) => ({ provider, model, use, reason })) }
}

function assumedOpen(assume: unknown): string[] {
  if (typeof assume !== 'object' || assume === null || Array.isArray(assume)) {
    throw wrong('assume', 'must be an object, as {"open": ["openai:gpt-4o"]}')
  }
  const { open = [], ...others } = assume as Record<string, unknown>
  const other = Object.keys(others)[0]
  if (other !== undefined) throw wrong(`assume.${other.slice(0, 64)}`, 'is unknown; assume takes "open" alone')
  if (!Array.isArray(open) || open.length > maxAssumed || !open.every((name) => typeof name === 'string')) {
    throw wrong('assume.open', `must be a list of at most ${maxAssumed} names of circuits`)
  }
  return open
}

const wrong = (param: string, rule: string) => new ApiError('invalid_body', { message: `${param}: ${rule}.`, param })
