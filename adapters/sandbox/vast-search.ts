/** Vast.ai's offer search: filters, prices with the disk that was asked for, order and limit. */
import { defaultStorageGb, diskPerHour, type VastMachine } from './vast-catalogue.ts'
import { isRecord } from './vendor.ts'

export type VastOffer = ReturnType<typeof offerOf>

/** The offers that match `query`, or what is wrong with it. `nowS`: seconds since 1970 UTC. */
export function searchOffers(
  machines: readonly VastMachine[],
  query: Record<string, unknown>,
  nowS: number,
): VastOffer[] | { wrong: string } {
  const {
    type = 'on-demand',
    order = [['score', 'desc']],
    limit,
    allocated_storage: storage,
    filters,
    ...beside
  } = query
  // Vast.ai's client sends each filter beside the other fields; its documents also show them under `filters`.
  const conditions = Object.entries({ ...beside, ...(isRecord(filters) && filters) }).filter(
    ([name]) => !howTo.has(name),
  )
  const wrong = conditions.map(([field, condition]) => wrongCondition(field, condition)).find(Boolean)
  if (wrong) return { wrong }
  if (!isOneOf(type, ['on-demand', 'ondemand', 'bid', 'reserved'])) return { wrong: 'type: no such type' }
  if (!isOrder(order)) return { wrong: 'order: expected [[field, "asc" | "desc"], ...]' }
  if (limit != null && !isNumber(limit)) return { wrong: 'limit: expected a number' }
  if (storage != null && !isNumber(storage)) return { wrong: 'allocated_storage: expected a number' }

  const gigabytes = storage ?? defaultStorageGb
  const found = machines
    .filter((machine) => machine.disk_space >= gigabytes)
    .map((machine) => offerOf(machine, gigabytes, type === 'bid', nowS))
    .filter((offer) => conditions.every(([field, condition]) => meets(fieldOf(offer, field), condition as object)))
    .sort((a, b) => byOrder(a, b, order))
  return limit == null ? found : found.slice(0, limit)
}

function offerOf(machine: VastMachine, gigabytes: number, isBid: boolean, nowS: number) {
  const base = isBid ? machine.min_bid : machine.dph_base
  const disk = diskPerHour(machine.storage_cost, gigabytes)
  // Adding what was subtracted would leave 0.47999999999999998 of the catalogue's 0.48.
  const total = Number((base + disk).toFixed(12))
  return {
    ...machine,
    dph_base: base,
    dph_total: total,
    dlperf_per_dphtotal: machine.dlperf / total,
    flops_per_dphtotal: machine.total_flops / total,
    score: (machine.dlperf / total) * machine.reliability2,
    is_bid: isBid,
    end_date: nowS + machine.duration,
    search: {
      gpuCostPerHour: base,
      diskHour: disk,
      totalHour: total,
      discountTotalHour: 0,
      discountedTotalPerHour: total,
    },
    instance: {
      gpuCostPerHour: 0,
      diskHour: disk,
      totalHour: disk,
      discountTotalHour: 0,
      discountedTotalPerHour: disk,
    },
  }
}

/** Fields of the body that say how to search, and not what for. */
const howTo = new Set(['disable_bundling', 'select_cols', 'owner', 'api_key'])

/** Fields that exist in questions alone. A place is asked for by its country code. */
const asked: Record<string, (offer: VastOffer) => unknown> = {
  verified: (offer) => offer.verification === 'verified',
  datacenter: (offer) => offer.hosting_type >= 1,
  geolocation: (offer) => offer.geolocation?.slice(-2) ?? null,
  external: (offer) => offer.external ?? false,
}

function fieldOf(offer: VastOffer, field: string): unknown {
  const ask = Object.hasOwn(asked, field) ? asked[field] : undefined
  return ask ? ask(offer) : (offer[field as keyof VastOffer] ?? null)
}

type Test = (value: unknown, wanted: unknown) => boolean

const isNumber = (value: unknown): value is number => typeof value === 'number'
const numeric =
  (test: (a: number, b: number) => boolean): Test =>
  (value, wanted) =>
    isNumber(value) && isNumber(wanted) && test(value, wanted)

const operators: Record<string, Test> = {
  eq: (value, wanted) => value === wanted,
  neq: (value, wanted) => value !== wanted,
  gt: numeric((a, b) => a > b),
  gte: numeric((a, b) => a >= b),
  lt: numeric((a, b) => a < b),
  lte: numeric((a, b) => a <= b),
  in: (value, wanted) => Array.isArray(wanted) && wanted.includes(value),
  notin: (value, wanted) => Array.isArray(wanted) && !wanted.includes(value),
}

export function wrongCondition(field: string, condition: unknown): string | undefined {
  if (!isRecord(condition)) return `${field}: expected {operator: value}`
  const unknown = Object.keys(condition).find((operator) => !Object.hasOwn(operators, operator))
  return unknown === undefined ? undefined : `${field}: unknown operator ${unknown}`
}

/** All that is asked of a value, as in `{gte: 2, lt: 8}`. */
export function meets(value: unknown, condition: object): boolean {
  return Object.entries(condition).every(([operator, wanted]) => operators[operator]?.(value, wanted))
}

function isOrder(order: unknown): order is [field: string, direction: string][] {
  return Array.isArray(order) && order.every((entry) => Array.isArray(entry) && isOneOf(entry[1], ['asc', 'desc']))
}

function isOneOf(value: unknown, allowed: readonly string[]): boolean {
  return typeof value === 'string' && allowed.includes(value)
}

function byOrder(a: VastOffer, b: VastOffer, order: readonly [field: string, direction: string][]): number {
  for (const [field, direction] of order) {
    const difference = compare(fieldOf(a, field), fieldOf(b, field))
    if (difference !== 0) return direction === 'desc' ? -difference : difference
  }
  return 0
}

function compare(a: unknown, b: unknown): number {
  if (isNumber(a) && isNumber(b)) return a - b
  return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0
}
