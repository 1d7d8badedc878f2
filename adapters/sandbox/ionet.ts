/** io.net's containers (CaaS) as far as the gateway speaks them: https://docs.io.net/reference */

import type { IonetControls } from './ionet-controls.ts'
import { data, detail, ionetError, unprocessable } from './ionet-errors.ts'
import { createStock, type IonetStock, locations, models } from './ionet-hardware.ts'
import { createIonetRental } from './ionet-rental.ts'
import { createMarketTime, type MarketOptions } from './market-controls.ts'
import type { Answer } from './send.ts'
import { findRoute, type Route, type Vendor, type VendorCall, type WholeAnswer } from './vendor.ts'

export interface IonetVendor extends Vendor {
  controls: IonetControls
}

export function createIonet(options: MarketOptions): IonetVendor {
  const { clock, key } = options
  const now = createMarketTime(clock)
  const stock = createStock(now)
  const rental = createIonetRental({ ...options, now, stock })
  const guarded =
    (handle: Route[2]): Route[2] =>
    (call, captured) => {
      const given = call.headers['x-api-key']
      if (key === undefined || given === key) return handle(call, captured)
      return ionetError(given === undefined ? 403 : 401)
    }

  const routes: Route[] = [
    ['GET', /^\/v1\/io-cloud\/caas\/hardware$/, () => data({ hardware: stock.catalogue('caas') })],
    ['GET', /^\/v1\/io-cloud\/vmaas\/hardware$/, () => data({ hardware: stock.catalogue('vmaas') })],
    ['GET', /^\/v1\/io-cloud\/caas\/locations$/, guarded(() => data({ locations, total: locations.length }))],
    ['GET', /^\/enterprise\/v1\/io-cloud\/caas\/hardware\/max-gpus-per-container$/, guarded(() => maxGpus(stock))],
    [
      'GET',
      /^\/enterprise\/v1\/io-cloud\/caas\/available-replicas$/,
      guarded((call) => availableReplicas(stock, call)),
    ],
    ['GET', /^\/enterprise\/v1\/io-cloud\/caas\/price$/, guarded(price)],
    ...rental.routes.map(([method, path, handle]): Route => [method, path, guarded(handle)]),
  ]

  return {
    answer(call) {
      rental.sweep()
      return (findRoute(routes, call) ?? (() => ionetError(404)))()
    },
    error: ionetError,
    controls: rental.controls,
  }
}

function maxGpus(stock: IonetStock): Answer {
  const hardware = models.map((model) => ({
    hardware_id: model.id,
    hardware_name: model.name,
    brand_name: model.brand,
    max_gpus_per_container: model.maxGpus,
    available: stock.isAvailable(model.id),
  }))
  return data({ hardware, total: hardware.length })
}

function availableReplicas(stock: IonetStock, { query }: VendorCall): Answer {
  const read = readNumbers(query, ['hardware_id', 'hardware_qty'])
  if ('status' in read) return read
  if (!models.some(({ id }) => id === read.hardware_id)) return detail(404, 'Hardware not found')
  return data(stock.byLocation(read.hardware_id, read.hardware_qty))
}

function price({ query }: VendorCall): Answer {
  const hours = query.has('duration_hours') ? query.get('duration_hours') : durationHours(query)
  const whole = new URLSearchParams({ ...Object.fromEntries(query), ...(hours !== null && { duration_hours: hours }) })
  const read = readNumbers(whole, ['hardware_id', 'gpus_per_container', 'duration_hours', 'replica_count'])
  if ('status' in read) return read
  const places = query
    .getAll('location_ids')
    .flatMap((text) => text.match(/\d+/g) ?? [])
    .map(Number)
  if (places.length === 0) return unprocessable(['query', 'location_ids'], 'missing', 'Field required')
  if (!places.every((id) => locations.some((location) => location.id === id))) return detail(404, 'Location not found')
  const model = models.find(({ id }) => id === read.hardware_id)
  if (!model) return detail(404, 'Hardware not found')
  if (read.gpus_per_container > model.maxGpus) {
    return unprocessable(
      ['query', 'gpus_per_container'],
      'less_than_equal',
      `Input should be less than or equal to ${model.maxGpus}`,
    )
  }
  const total = model.price * read.gpus_per_container * read.duration_hours * read.replica_count
  return data({ total_cost_usdc: Number(total.toFixed(6)), ionet_fee: 0, currency_conversion_fee: 0 })
}

const hoursOf: Record<string, number> = { hour: 1, day: 24, week: 168, month: 720 }

/** `day`, `days` or `daily`, as its clients spell it. */
const unitOf = (type: string) => type.replace('daily', 'day').replace(/(?:s|ly)$/, '')

function durationHours(query: URLSearchParams): string | null {
  const unit = hoursOf[unitOf(query.get('duration_type') ?? '')]
  const quantity = query.get('duration_qty')
  return unit === undefined || quantity === null ? null : String(unit * Number(quantity))
}

/** Whole positive numbers of the query, or FastAPI's 422 for the first that is not one. */
function readNumbers<Name extends string>(
  query: URLSearchParams,
  names: readonly Name[],
): Record<Name, number> | WholeAnswer {
  const numbers: [Name, number][] = []
  for (const name of names) {
    const text = query.get(name)
    if (text === null) return unprocessable(['query', name], 'missing', 'Field required')
    if (!/^-?\d+$/.test(text)) return unprocessable(['query', name], 'int_parsing', 'Input should be a valid integer')
    if (Number(text) < 1)
      return unprocessable(['query', name], 'greater_than_equal', 'Input should be greater than or equal to 1')
    numbers.push([name, Number(text)])
  }
  return Object.fromEntries(numbers) as Record<Name, number>
}
