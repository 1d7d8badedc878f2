/** io.net's containers (CaaS) as far as the gateway speaks them: https://docs.io.net/reference */
import { hardwareRows, isAvailable, locations, models, replicasByLocation } from './ionet-hardware.ts'
import type { Answer } from './send.ts'
import { findRoute, jsonAnswer, type Route, type Vendor, type VendorCall, type WholeAnswer } from './vendor.ts'

export function createIonet({ key }: { key: string | undefined }): Vendor {
  const guarded =
    (handle: (call: VendorCall) => Answer) =>
    (call: VendorCall): Answer => {
      const given = call.headers['x-api-key']
      if (key === undefined || given === key) return handle(call)
      return ionetError(given === undefined ? 403 : 401)
    }

  const routes: Route[] = [
    ['GET', /^\/v1\/io-cloud\/caas\/hardware$/, () => data({ hardware: hardwareRows('caas') })],
    ['GET', /^\/v1\/io-cloud\/vmaas\/hardware$/, () => data({ hardware: hardwareRows('vmaas') })],
    ['GET', /^\/v1\/io-cloud\/caas\/locations$/, guarded(() => data({ locations, total: locations.length }))],
    ['GET', /^\/enterprise\/v1\/io-cloud\/caas\/hardware\/max-gpus-per-container$/, guarded(maxGpus)],
    ['GET', /^\/enterprise\/v1\/io-cloud\/caas\/available-replicas$/, guarded(availableReplicas)],
    ['GET', /^\/enterprise\/v1\/io-cloud\/caas\/price$/, guarded(price)],
  ]

  return {
    answer: (call) => (findRoute(routes, call) ?? (() => ionetError(404)))(),
    error: ionetError,
  }
}

function maxGpus(): Answer {
  const hardware = models.map((model) => ({
    hardware_id: model.id,
    hardware_name: model.name,
    brand_name: model.brand,
    max_gpus_per_container: model.maxGpus,
    available: isAvailable(model.id),
  }))
  return data({ hardware, total: hardware.length })
}

function availableReplicas({ query }: VendorCall): Answer {
  const read = readNumbers(query, ['hardware_id', 'hardware_qty'])
  if ('status' in read) return read
  if (!models.some(({ id }) => id === read.hardware_id)) return detail(404, 'Hardware not found')
  return data(replicasByLocation(read.hardware_id, read.hardware_qty))
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
  if (places.length === 0) return unprocessable('location_ids', 'missing', 'Field required')
  if (!places.every((id) => locations.some((location) => location.id === id))) return detail(404, 'Location not found')
  const model = models.find(({ id }) => id === read.hardware_id)
  if (!model) return detail(404, 'Hardware not found')
  if (read.gpus_per_container > model.maxGpus) {
    return unprocessable(
      'gpus_per_container',
      'less_than_equal',
      `Input should be less than or equal to ${model.maxGpus}`,
    )
  }
  const total = model.price * read.gpus_per_container * read.duration_hours * read.replica_count
  return data({ total_cost_usdc: Number(total.toFixed(6)), ionet_fee: 0, currency_conversion_fee: 0 })
}

const hoursOf: Record<string, number> = {
  hour: 1,
  hours: 1,
  day: 24,
  days: 24,
  week: 168,
  weeks: 168,
  month: 720,
  months: 720,
}

function durationHours(query: URLSearchParams): string | null {
  const unit = hoursOf[query.get('duration_type') ?? '']
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
    if (text === null) return unprocessable(name, 'missing', 'Field required')
    if (!/^-?\d+$/.test(text)) return unprocessable(name, 'int_parsing', 'Input should be a valid integer')
    if (Number(text) < 1) return unprocessable(name, 'greater_than_equal', 'Input should be greater than or equal to 1')
    numbers.push([name, Number(text)])
  }
  return Object.fromEntries(numbers) as Record<Name, number>
}

const data = (value: unknown): WholeAnswer => jsonAnswer(200, { data: value })

const detail = (status: number, value: unknown): WholeAnswer => jsonAnswer(status, { detail: value })

function unprocessable(field: string, type: string, msg: string): WholeAnswer {
  return detail(422, [{ loc: ['query', field], msg, type }])
}

function ionetError(status: number): WholeAnswer {
  return detail(status, details[status] ?? 'Internal Server Error')
}

const details: Record<number, string> = {
  400: 'Bad Request',
  401: 'Invalid API key',
  403: 'Not authenticated',
  404: 'Not Found',
  413: 'Request Entity Too Large',
  429: 'Too Many Requests',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
}
