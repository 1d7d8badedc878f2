/**
 * What is done with containers at io.net (docs.io.net). A deployment is bought by the hour, ahead: what can be had where
 * and at what price is asked for first, and then it is deployed by one call, under a name that is unique.
 */
import * as z from 'zod'
import { microUsd } from '../domain/money.ts'
import { inability } from '../domain/offer.ts'
import { type Endpoint, needsOf } from '../domain/rental.ts'
import { UpstreamFailure } from '../upstream/outcome.ts'
import { type ControlOptions, type ControlRequest, controlCall, createCall, outcomeOf } from './control-call.ts'
import { readLogTail } from './log-tail.ts'
import type { CreateOutcome, Machine, MachineOrder, MarketControl } from './market.ts'

const enterprise = '/enterprise/v1/io-cloud/caas'
const pageSize = 100
const maxPages = 100
/** What is asked before a deployment may take so long: a while later its rental is taken for lost. */
const placeMs = 60_000
const retryMs = 5_000

const text = z.string().nullish().catch(undefined)
const hardware = z.object({
  id: z.union([z.number(), z.string()]),
  deploy_id: z.number(),
  num_cards: z.number(),
  location: text,
})
const hardwareList = z.object({ data: z.object({ hardware: z.array(z.unknown()) }) })
const locations = z.object({ data: z.object({ locations: z.array(z.object({ id: z.number(), name: z.string() })) }) })
const replicas = z.object({ data: z.array(z.object({ id: z.number(), available_replicas: z.number() })) })
const price = z.object({
  data: z.object({
    total_cost_usdc: z.number(),
    ionet_fee: z.number().nullish(),
    currency_conversion_fee: z.number().nullish(),
  }),
})
const deployed = z.object({ deployment_id: z.string().min(1) })
const row = z.object({ id: z.string().min(1), status: text, name: text })
const page = z.object({ data: z.object({ deployments: z.array(row), total: z.number() }) })
const detail = z.object({
  data: row.extend({ started_at: text, finished_at: text, amount_paid: z.number().nullish().catch(undefined) }),
})
const containers = z.object({
  data: z.object({ workers: z.array(z.object({ container_id: z.string(), public_url: text })) }),
})

/** Where and as what an offer is deployed. */
interface Place {
  hardwareId: number
  locationId: number
}

export function createIonetControl(options: ControlOptions): MarketControl {
  const { apiKey } = options
  const headers: Record<string, string> = apiKey === undefined ? {} : { 'x-api-key': apiKey }
  type How<T> = Pick<ControlRequest<T>, 'signal' | 'read'>
  // It publishes no least distance between calls.
  const every = ['call', 0] as const
  const call = <T>(method: 'GET' | 'DELETE', path: string, how: How<T>): Promise<T> =>
    controlCall(options, { ...how, request: { method, path, headers }, every, repeat: 'idempotent' })

  /** Undefined: somebody else has it, or it costs more by now. */
  async function placeOf(order: MachineOrder, signal: AbortSignal): Promise<Place | undefined> {
    const catalogue = await call('GET', '/v1/io-cloud/caas/hardware', { signal, read: expect(hardwareList) })
    const rows = catalogue.data.hardware.map((each) => hardware.safeParse(each).data)
    const found = rows.find((each) => String(each?.id) === order.offerId)
    if (!found) return undefined
    const places = await call('GET', '/v1/io-cloud/caas/locations', { signal, read: expect(locations) })
    const locationId = places.data.locations.find(({ name }) => name === found.location)?.id
    if (locationId === undefined) return undefined
    const { deploy_id: hardwareId, num_cards: gpus } = found
    const left = await call('GET', `${enterprise}/available-replicas?hardware_id=${hardwareId}&hardware_qty=${gpus}`, {
      signal,
      read: expect(replicas),
    })
    if (!left.data.some(({ id, available_replicas }) => id === locationId && available_replicas > 0)) return undefined
    const query = new URLSearchParams({
      location_ids: String(locationId),
      hardware_id: String(hardwareId),
      gpus_per_container: String(gpus),
      hardware_qty: String(gpus),
      duration_hours: String(order.hours),
      replica_count: '1',
      currency: 'usdc',
    })
    const { data } = await call('GET', `${enterprise}/price?${query}`, { signal, read: expect(price) })
    const total = data.total_cost_usdc + (data.ionet_fee ?? 0) + (data.currency_conversion_fee ?? 0)
    return microUsd(total) > order.pricePerHour * order.hours ? undefined : { hardwareId, locationId }
  }

  const containersOf = (id: string, signal: AbortSignal) =>
    call('GET', `${enterprise}/deployment/${id}/containers`, {
      signal,
      read: (status, json) => (status === 404 ? [] : expect(containers)(status, json).data.workers),
    })

  const detailOf = (id: string, signal: AbortSignal) =>
    call('GET', `${enterprise}/deployment/${id}`, {
      signal,
      read: (status, json) => (status === 404 ? undefined : expect(detail)(status, json).data),
    })

  return {
    name: 'ionet',
    billing: 'hours_ahead',
    async create(order, signal) {
      const unable = unableTo(order)
      if (unable) return { outcome: 'refused', message: unable }
      const until = options.clock.now() + placeMs
      let place: Place | undefined
      try {
        place = await placeOf(order, signal)
      } catch (error) {
        return outcomeOf(error, false)
      }
      if (!place) return { outcome: 'gone' }
      if (options.clock.now() > until) return { outcome: 'not_sent', retryAfterMs: retryMs }
      const body = JSON.stringify(bodyOf(order, place))
      const request = { method: 'POST', path: `${enterprise}/deploy`, headers, body } as const
      return createCall(options, { request, every, signal, read: readDeployed })
    },
    destroy: (id, signal) =>
      // It answers 404 too for one that was asked to go and has not gone yet: `show` tells.
      call('DELETE', `${enterprise}/deployment/${id}`, {
        signal,
        read(status) {
          if (status === 404) return 'gone'
          if (status < 300) return 'accepted'
          throw new UpstreamFailure('server', { status })
        },
      }),
    setRunning: async () => 'unsupported',
    async extend(id, hours, signal) {
      let left = false
      const onSend = () => {
        left = true
      }
      try {
        return await controlCall(options, {
          request: {
            method: 'POST',
            path: `${enterprise}/deployment/${id}/extend`,
            headers,
            body: JSON.stringify({ duration_hours: hours }),
          },
          every,
          signal,
          repeat: 'once',
          onSend,
          read: (status) => (status < 300 ? 'bought' : 'refused'),
        })
      } catch (error) {
        const { outcome } = outcomeOf(error, left)
        if (outcome === 'unknown' || outcome === 'refused') return outcome
        throw error
      }
    },
    async list(signal) {
      const machines = new Map<string, Machine>()
      const seen = new Set<string>()
      for (let n = 1; n <= maxPages; n++) {
        const query = `page=${n}&page_size=${pageSize}&sort_by=created_at&sort_order=asc`
        const { data } = await call('GET', `${enterprise}/deployments?${query}`, { signal, read: expect(page) })
        for (const each of data.deployments) {
          seen.add(each.id)
          // Those that have ended may stay in the list for good.
          if (!isOver(each.status)) machines.set(each.id, toMachine(each))
        }
        if (seen.size >= data.total) return [...machines.values()]
        // Rows moved between the pages while they were read: this list lacks some.
        if (data.deployments.length < pageSize) throw new UpstreamFailure('poison')
      }
      throw new UpstreamFailure('poison')
    },
    // It does not tell the name: lists do.
    async show(id, signal) {
      const found = await detailOf(id, signal)
      if (!found || isOver(found.status)) return undefined
      const machine = toMachine(found)
      if (machine.status !== 'running') return machine
      return { ...machine, endpoints: endpointsOf(await containersOf(id, signal)), startedAt: dateOf(found.started_at) }
    },
    async logs(id, signal) {
      const [container] = await containersOf(id, signal)
      if (!container) return ''
      const { baseUrl, http } = options
      const { origin, pathname } = new URL(baseUrl)
      const path = `${pathname === '/' ? '' : pathname}${enterprise}/deployment/${id}/log/${container.container_id}`
      const { status, text } = await readLogTail(http, options.clock, { origin, path, headers, signal })
      if (status !== 200) throw new UpstreamFailure('server', { status })
      return text
    },
    async bill(id, _since, signal) {
      const paid = (await detailOf(id, signal))?.amount_paid
      return paid == null ? undefined : microUsd(paid)
    },
  }
}

const unableTo = ({ spec, bid }: MachineOrder): string | undefined =>
  bid === undefined ? inability({ market: 'ionet' }, needsOf(spec)) : 'io.net takes no bids.'

/** Variables may be secrets: they go where io.net does not show them again. */
function bodyOf({ spec, label, hours, gpuCount }: MachineOrder, { hardwareId, locationId }: Place) {
  return {
    resource_private_name: label,
    duration_hours: hours,
    gpus_per_container: gpuCount,
    hardware_id: hardwareId,
    location_ids: [locationId],
    container_config: {
      replica_count: 1,
      secret_env_variables: spec.env,
      ...(spec.args.length > 0 && { args: spec.args }),
      ...(spec.ports.length > 0 && { traffic_port: spec.ports[0] }),
    },
    registry_config: { image_url: spec.image },
  }
}

function readDeployed(status: number, json: unknown): CreateOutcome {
  const made = deployed.safeParse(json)
  if (status === 200 && made.success) return { outcome: 'created', machineId: made.data.deployment_id }
  if (status === 404) return { outcome: 'gone' }
  // The name is ours alone: somebody has deployed by it already.
  if (status === 409) return { outcome: 'unknown' }
  const told = z.object({ detail: z.string() }).safeParse(json).data?.detail ?? ''
  if (status === 400 && /replica|available/i.test(told)) return { outcome: 'gone' }
  if (status >= 400 && status < 500) return { outcome: 'refused', message: 'invalid order' }
  throw new UpstreamFailure('poison', { status })
}

const expect =
  <S extends z.ZodType>(schema: S) =>
  (status: number, json: unknown): z.output<S> => {
    const parsed = schema.safeParse(json)
    if (status === 200 && parsed.success) return parsed.data
    throw new UpstreamFailure('poison', { status, cause: parsed.error })
  }

const isOver = (status: string | null | undefined) => /^(terminated|completed|destroyed)$/i.test(status ?? '')

function toMachine({ id, status, name }: z.output<typeof row>): Machine {
  return {
    id,
    label: name ?? undefined,
    status: statusOf(status ?? ''),
    detail: (status ?? 'unknown').slice(0, 200),
    endpoints: [],
    startedAt: undefined,
    pricePerHour: undefined,
  }
}

/** The words are not published: what is not known to be otherwise is on its way. */
function statusOf(status: string): Machine['status'] {
  if (/^running$/i.test(status)) return 'running'
  return /fail|error|terminat|complet|destroy/i.test(status) ? 'lost' : 'starting'
}

function endpointsOf(workers: readonly { public_url?: string | null | undefined }[]): Endpoint[] {
  return workers.flatMap(({ public_url: url }) => {
    if (!url || !URL.canParse(url)) return []
    return [{ port: undefined, origin: new URL(url).origin }]
  })
}

/** It writes UTC without saying so. */
function dateOf(written: string | null | undefined): Date | undefined {
  if (!written) return undefined
  const date = new Date(/(?:z|[+-]\d\d:?\d\d)$/i.test(written) ? written : `${written}Z`)
  return Number.isNaN(date.getTime()) ? undefined : date
}
