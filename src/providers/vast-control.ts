/**
 * What is done with machines at Vast.ai (docs.vast.ai/api-reference). Every kind of call has its own least distance,
 * and too close ones are refused as plain text without Retry-After.
 */
import * as z from 'zod'
import { type MicroUsd, microUsd, usd } from '../domain/money.ts'
import type { Endpoint } from '../domain/rental.ts'
import { ApiError } from '../errors.ts'
import { sleep } from '../resilience/clock.ts'
import { UpstreamFailure } from '../upstream/outcome.ts'
import { type ControlOptions, type ControlRequest, controlCall, createCall } from './control-call.ts'
import { readLogTail } from './log-tail.ts'
import type { ChangeOutcome, CreateOutcome, Machine, MachineOrder, MarketControl } from './market.ts'

const createEvery = ['create', 4_500] as const
const destroyEvery = ['destroy', 3_000] as const
const showEvery = ['show', 2_000] as const
const stateEvery = ['state', 1_000] as const
const listEvery = ['list', 1_000] as const
const chargesEvery = ['charges', 1_000] as const
const logsEvery = ['logs', 1_000] as const

/** Of the market's lists: what is longer is not read, and so not complete. */
const maxPages = 400
const dayS = 86_400
const logTries = 10
const logWaitMs = 500

const text = z.string().nullish().catch(undefined)
/** Anything but the id may be missing or odd, and the machine is there all the same. Times in seconds since 1970. */
const instance = z.object({
  id: z.number(),
  label: text,
  actual_status: text,
  intended_status: text,
  status_msg: text,
  public_ipaddr: text,
  ports: z
    .record(z.string(), z.array(z.object({ HostPort: z.string() })).nullish())
    .nullish()
    .catch(undefined),
  start_date: z.number().nullish().catch(undefined),
  dph_total: z.number().nonnegative().nullish().catch(undefined),
})
const page = z.object({ instances: z.array(instance), next_token: z.string().nullish() })
const shown = z.object({ instances: instance.nullable() })
const created = z.object({ success: z.literal(true), new_contract: z.number() })
const failed = z.object({ success: z.literal(false), error: text, msg: text })
const charges = z.object({
  results: z.array(z.object({ source: text, amount: z.number() })),
  next_token: z.string().nullish(),
})
const logsAsked = z.object({ result_url: z.url() })

export function createVastControl(options: ControlOptions): MarketControl {
  const { clock, http, elsewhereHttp, apiKey, baseUrl } = options
  const headers: Record<string, string> = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }
  type Call<T> = Omit<ControlRequest<T>, 'request' | 'repeat'>
  const call = <T>(method: 'GET' | 'PUT' | 'DELETE', path: string, how: Call<T> & { body?: object }): Promise<T> => {
    const { body, ...rest } = how
    const request = { method, path, headers, ...(body && { body: JSON.stringify(body) }) }
    return controlCall(options, { ...rest, request, repeat: 'idempotent' })
  }

  async function bill(machineId: string, since: Date, signal: AbortSignal): Promise<MicroUsd | undefined> {
    const from = Math.floor(since.getTime() / 1000) - dayS
    const day = { gte: from, lte: Math.ceil(clock.wallNow() / 1000) + dayS }
    const filters = JSON.stringify({ day, type: { in: ['instance'] } })
    let amount: MicroUsd | undefined
    let after: string | undefined
    for (let n = 0; n < maxPages; n++) {
      const query = new URLSearchParams({ select_filters: filters, limit: '500', ...(after && { after_token: after }) })
      const read = await call('GET', `/api/v0/charges/?${query}`, {
        every: chargesEvery,
        signal,
        read: expect(charges),
      })
      for (const row of read.results) {
        if (row.source === `instance-${machineId}`) amount = (amount ?? 0) + microUsd(row.amount)
      }
      if (!read.next_token) return amount
      after = read.next_token
    }
    throw new UpstreamFailure('poison')
  }

  /** The file comes into being a moment after it was asked for; it lies elsewhere, so our key stays here. */
  async function download(from: URL, signal: AbortSignal): Promise<string> {
    const isItsOwn = from.origin === new URL(baseUrl).origin
    if (from.protocol !== 'https:' && !isItsOwn) throw new UpstreamFailure('poison')
    for (let n = 0; n < logTries; n++) {
      const call = { origin: from.origin, path: from.pathname + from.search, headers: {}, signal }
      const { status, text } = await readLogTail(isItsOwn ? http : elsewhereHttp, clock, call)
      if (status === 200) return text
      await sleep(clock, logWaitMs, signal)
    }
    throw new UpstreamFailure('silent', { phase: 'total' })
  }

  return {
    name: 'vastai',
    billing: 'by_second',
    create(order, signal) {
      const path = `/api/v0/asks/${order.offerId}/`
      const request = { method: 'PUT', path, headers, body: JSON.stringify(bodyOf(order)) } as const
      return createCall(options, { request, every: createEvery, signal, read: readCreated })
    },
    destroy: (id, signal) =>
      call('DELETE', `/api/v0/instances/${id}/`, { every: destroyEvery, signal, read: acceptedOrGone }),
    setRunning(id, running, signal) {
      const body = { state: running ? 'running' : 'stopped' }
      return call('PUT', `/api/v0/instances/${id}/`, { body, every: stateEvery, signal, read: readChanged })
    },
    extend: async () => 'bought',
    async list(signal) {
      const machines: Machine[] = []
      let after: string | undefined
      for (let n = 0; n < maxPages; n++) {
        const query = new URLSearchParams({ limit: '25', ...(after && { after_token: after }) })
        const read = await call('GET', `/api/v1/instances/?${query}`, { every: listEvery, signal, read: expect(page) })
        machines.push(...read.instances.map(toMachine))
        if (!read.next_token) return machines
        after = read.next_token
      }
      throw new UpstreamFailure('poison')
    },
    show: (id, signal) =>
      call('GET', `/api/v0/instances/${id}/`, {
        every: showEvery,
        signal,
        read(status, json) {
          if (status === 404) return undefined
          const found = expect(shown)(status, json).instances
          return found ? toMachine(found) : undefined
        },
      }),
    async logs(id, signal) {
      const path = `/api/v0/instances/request_logs/${id}/`
      const how = { body: { tail: '1000' }, every: logsEvery, signal, read: readLogsAsked }
      const asked = await call('PUT', path, how)
      if (!asked) throw new ApiError('instance_state', { message: 'The market has no logs of the instance.' })
      return download(new URL(asked.result_url), signal)
    },
    bill,
  }
}

/** Without a script the image's own entry point runs, with the arguments; a script needs one of the ssh kinds. */
function bodyOf({ spec, label, bid }: MachineOrder) {
  const published = spec.ports.map((port) => [`-p ${port}:${port}`, '1'])
  return {
    client_id: 'me',
    image: spec.image,
    disk: spec.diskGb,
    label,
    runtype: spec.onstart === undefined ? 'args' : 'ssh_direct',
    env: { ...spec.env, ...Object.fromEntries(published) },
    ...(spec.args.length > 0 && { args: spec.args }),
    ...(spec.onstart !== undefined && { onstart: spec.onstart }),
    ...(bid !== undefined && { price: usd(bid) }),
    cancel_unavail: true,
    target_state: 'running',
  }
}

function readCreated(status: number, json: unknown): CreateOutcome {
  if (status === 404 || status === 410) return { outcome: 'gone' }
  const made = created.safeParse(json)
  if (status === 200 && made.success) return { outcome: 'created', machineId: String(made.data.new_contract) }
  const refused = failed.safeParse(json)
  // A 400 without a body that can be read is a refusal as well.
  if ((status >= 400 && status < 500) || refused.success) {
    return { outcome: 'refused', message: refused.data?.error || 'invalid_args' }
  }
  throw new UpstreamFailure('poison', { status })
}

/** A refusal of what a customer asks for is an answer, and says nothing against the market. */
function refusalIn(status: number, json: unknown): string | undefined {
  const { success, data } = failed.safeParse(json)
  return success || (status >= 400 && status < 500) ? (data?.error ?? 'invalid_args').slice(0, 100) : undefined
}

function readChanged(status: number, json: unknown): ChangeOutcome {
  const refused = refusalIn(status, json)
  if (status === 404 || refused === 'no_such_instance') return 'gone'
  return refused === undefined ? acceptedOrGone(status, json) : { refused }
}

const readLogsAsked = (status: number, json: unknown): z.output<typeof logsAsked> | undefined =>
  refusalIn(status, json) === undefined ? expect(logsAsked)(status, json) : undefined

function acceptedOrGone(status: number, json: unknown): 'accepted' | 'gone' {
  if (status === 404) return 'gone'
  if (status === 200 && z.object({ success: z.literal(true) }).safeParse(json).success) return 'accepted'
  throw new UpstreamFailure('server', { status })
}

const expect =
  <S extends z.ZodType>(schema: S) =>
  (status: number, json: unknown): z.output<S> => {
    const parsed = schema.safeParse(json)
    if (status === 200 && parsed.success) return parsed.data
    throw new UpstreamFailure('poison', { status, cause: parsed.error })
  }

function toMachine(found: z.output<typeof instance>): Machine {
  const { id, label, actual_status, status_msg, start_date, dph_total } = found
  const status = statusOf(found)
  return {
    id: String(id),
    label: label ?? undefined,
    status,
    detail: (status_msg ?? actual_status ?? 'provisioning').slice(0, 200),
    endpoints: status === 'running' ? endpointsOf(found) : [],
    startedAt: start_date == null ? undefined : new Date(start_date * 1000),
    pricePerHour: dph_total == null ? undefined : microUsd(dph_total),
  }
}

function statusOf({ actual_status, intended_status }: z.output<typeof instance>): Machine['status'] {
  const isToStop = intended_status?.toLowerCase() === 'stopped'
  switch (actual_status?.toLowerCase()) {
    case 'running':
    case 'stopping':
      return 'running'
    case 'stopped':
    case 'frozen':
      return 'stopped'
    // These never run again, but that one which was told to stop has exited too.
    case 'exited':
      return isToStop ? 'stopped' : 'lost'
    case 'unknown':
    case 'offline':
      return 'lost'
    default:
      return 'starting'
  }
}

function endpointsOf({ ports, public_ipaddr }: z.output<typeof instance>): Endpoint[] {
  const address = public_ipaddr?.trim()
  if (!address) return []
  const host = address.includes(':') ? `[${address}]` : address
  return Object.entries(ports ?? {}).flatMap(([name, bindings]) => {
    const [, port] = /^(\d{1,5})\/tcp$/.exec(name) ?? []
    const hostPort = bindings?.[0]?.HostPort
    return port === undefined || !hostPort ? [] : [{ port: Number(port), origin: `http://${host}:${hostPort}` }]
  })
}
