/** Vast.ai's charges: what every machine that there ever was has come to. */
import type { Lies } from './market-controls.ts'
import type { Answer } from './send.ts'
import { costOf, spanOf, type VastContract, type VastContracts } from './vast-contracts.ts'
import { invalidArgs } from './vast-errors.ts'
import { readPage } from './vast-page.ts'
import { isRecord, jsonAnswer } from './vendor.ts'

export function answerCharges(query: URLSearchParams, contracts: VastContracts, lies: Lies): Answer {
  const filters = readFilters(query)
  if (!filters) return invalidArgs({ error: 'invalid_args', msg: "Must provide both 'day' gte and lte filters" })
  const { from, to, instances } = filters
  // Rows are made for one page alone: a simulation asks ten thousand times over ten thousand machines.
  const told = (each: VastContract) => wasPaidFor(each, from, to) && !lies.omitsCharges(String(each.id))
  const within = instances ? contracts.all().filter(told) : []
  if (query.get('latest_first') !== 'false') within.reverse()
  const page = readPage(within, withoutFilters(query), { most: 500, usual: 100 })
  if ('wrong' in page) return invalidArgs({ error: 'invalid_args', msg: page.wrong })
  const results = page.rows.map(chargeOf)
  return jsonAnswer(200, {
    success: true,
    count: results.length,
    total: within.length,
    results,
    next_token: page.nextToken,
  })
}

/** The days, in seconds since 1970, and whether instances are asked for. */
function readFilters(query: URLSearchParams): { from: number; to: number; instances: boolean } | undefined {
  let filters: unknown
  try {
    filters = JSON.parse(query.get('select_filters') ?? '')
  } catch {
    return undefined
  }
  if (!isRecord(filters) || !isRecord(filters.day)) return undefined
  const { gte: from, lte: to } = filters.day
  if (typeof from !== 'number' || typeof to !== 'number') return undefined
  const types = isRecord(filters.type) ? filters.type.in : undefined
  return { from, to, instances: types === undefined || (Array.isArray(types) && types.includes('instance')) }
}

function wasPaidFor(contract: VastContract, from: number, to: number): boolean {
  const { start, end } = spanOf(contract)
  return end >= from && start <= to
}

function withoutFilters(query: URLSearchParams): URLSearchParams {
  const rest = new URLSearchParams(query)
  rest.delete('select_filters')
  return rest
}

/** A row of the charges; times in whole seconds, money in dollars. */
function chargeOf(contract: VastContract) {
  const { id, label, gpuPerHour, diskPerHour } = contract
  const span = spanOf(contract)
  const cost = costOf(contract)
  const part = (type: string, microUsd: number, perHour: number) => ({
    ...span,
    type,
    source: null,
    description: `${(microUsd / 1e6 / perHour).toFixed(3)} hours at $${perHour.toFixed(3)}/hour`,
    amount: microUsd / 1e6,
    metadata: {},
    items: [],
  })
  return {
    ...span,
    type: 'instance',
    source: `instance-${id}`,
    description: `Instance ${id} Charges`,
    amount: (cost.gpu + cost.disk) / 1e6,
    metadata: { template_id: null, label: label === '' ? null : label, endpoint_id: null, workergroup_id: null },
    items: [part('gpu', cost.gpu, gpuPerHour), part('disk', cost.disk, diskPerHour)],
  }
}
