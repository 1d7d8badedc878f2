/**
 * The gateways behind the edge: which is asked, and who answers when that one is gone. What an isolate knows of a region
 * is what its own requests found.
 */
import { parseProxiedTarget } from '../domain/proxied-path.ts'
import { ApiError } from '../errors.ts'
import { type CircuitBreaker, createCircuitBreaker, type Permit } from '../resilience/circuit-breaker.ts'
import type { Clock } from '../resilience/clock.ts'
import { createRetryBudget } from '../resilience/retry-budget.ts'
import { createHedge } from '../upstream/hedge.ts'

/** Thrown by `ask` where no byte of the request has left. Any other failure may have come after it was carried out. */
export class NotSent extends Error {
  override name = 'NotSent'
}

/** Thrown by `ask` where an origin was reached and has not answered in time: it may be gone, or at long work. */
export class NotAnswered extends Error {
  override name = 'NotAnswered'
}

export interface RegionsOptions {
  /** In order of preference. */
  origins: readonly string[]
  clock: Clock
  random: () => number
  ask: (request: Request) => Promise<Response>
}

/** A request that is put to one region after the other. */
export interface RegionalRequest {
  method: string
  /** With the query. */
  path: string
  headers: Headers
  /** Bytes can be sent again, a stream cannot. */
  body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null
  signal: AbortSignal
  /** A digest of who asks, if it is known. */
  caller: string | undefined
}

export interface Regions {
  /** @throws ApiError `region_unreachable`, and the signal's reason */
  send(request: RegionalRequest): Promise<Response>
}

interface Answered {
  response: Response
  region: Region
}

interface Region {
  origin: string
  breaker: CircuitBreaker
  /** Of reads, until their headers came; undefined: too few are known. */
  readMs: number | undefined
  reads: number
}

/** A region that could not be reached is not asked for so long at first. */
const openMs = 2_000
const maxOpenMs = 30_000
const safe = new Set(['GET', 'HEAD', 'OPTIONS'])
/** A read without headers by then is put to another region. Other requests are waited for: a completion takes minutes. */
const maxReadMs = 10_000
/** In which a gateway, or a proxy in front of it, says that it is the one who cannot. */
const elsewhere = new Set([502, 503, 504])
/** Another region is asked first where it is so much faster, by share and in ms: closer ones would be taken in turns. */
const faster = { share: 0.7, ms: 20 }
const minReads = 10
const newestShare = 0.1
/** Reads that go to another region than the first, to know how fast it is. */
const exploringShare = 0.02
/** Who has changed something reads where he did it: copies of the database in other regions are a moment late. */
const stickyMs = 30_000
const maxSticky = 10_000

export function createRegions({ origins, clock, random, ask }: RegionsOptions): Regions {
  const regions: Region[] = origins.map((origin) => ({
    origin,
    breaker: createCircuitBreaker({
      clock,
      random,
      openMs,
      maxOpenMs,
      trialCalls: 1,
      slowStartStepMs: 0,
    }),
    readMs: undefined,
    reads: 0,
  }))
  const hedge = createHedge({ clock })
  const budget = createRetryBudget({ clock })
  const wroteAt = new Map<string, { region: Region; until: number }>()

  /** Where the caller has changed something just now. */
  function regionWrittenTo({ caller }: RegionalRequest): Region | undefined {
    const wrote = caller === undefined ? undefined : wroteAt.get(caller)
    return wrote && wrote.until > clock.now() ? wrote.region : undefined
  }

  function inOrder({ method }: RegionalRequest): Region[] {
    let [best] = regions
    for (const each of regions) if (isFaster(each, best!)) best = each
    if (safe.has(method) && regions.length > 1 && random() < exploringShare) {
      best = regions[Math.floor(random() * regions.length)]
    }
    return first(best!)
  }

  const first = (region: Region) => [region, ...regions.filter((each) => each !== region)]

  async function send(request: RegionalRequest): Promise<Response> {
    const own = regionWrittenTo(request)
    const all = own ? first(own) : inOrder(request)
    if (!safe.has(request.method)) {
      // What a region that may be gone loses should be reads.
      const { response, region } = await inTurn(
        all.toSorted((a, b) => doubt(a) - doubt(b)),
        request,
      )
      stick(request, response, region)
      return response
    }
    // Elsewhere he might not find what he has made.
    if (all.length === 1 || own) return (await inTurn(all, request)).response
    const end = budget.firstTry()
    let calls = 0
    const asked = (signal: AbortSignal) => inTurn(rotated(all, calls++), { ...request, signal })
    try {
      return (await hedge.hedged(asked, { signal: request.signal, budget })).response
    } finally {
      end()
    }
  }

  async function inTurn(order: readonly Region[], request: RegionalRequest): Promise<Answered> {
    let failure: unknown
    let answered: Answered | undefined
    for (const [i, region] of order.entries()) {
      const admission = region.breaker.acquire()
      // The last is asked where no other was: a refusal would be no better than its failure.
      const isLastResort = i === order.length - 1 && failure === undefined && answered === undefined
      if (!('permit' in admission) && !isLastResort) continue
      const others = order.slice(i + 1)
      try {
        const response = await askOne(region, 'permit' in admission ? admission.permit : undefined, request, others)
        void answered?.response.body?.cancel()
        answered = { response, region }
        if (!mayGoOn(request, response)) return answered
      } catch (error) {
        request.signal.throwIfAborted()
        if (error instanceof ApiError) throw error
        failure = error
        if (!maySendAgain(request) && !(error instanceof NotSent && isWhole(request))) {
          // What another region said before, that nothing was done, is no longer true.
          void answered?.response.body?.cancel()
          throw unreachable(error, false)
        }
      }
    }
    if (answered) return answered
    throw unreachable(failure, true)
  }

  /** `others`: who could be asked after it. */
  async function askOne(
    region: Region,
    permit: Permit | undefined,
    request: RegionalRequest,
    others: readonly Region[],
  ): Promise<Response> {
    const { method, signal } = request
    const startedAt = clock.now()
    // The last one is waited for: slow is better than nothing.
    const isBounded = isShortRead(request) && others.some(({ breaker }) => breaker.refusesForMs() === 0)
    try {
      const response = await (isBounded ? askBounded(region, request) : ask(requestFor(region, request)))
      const isWell = !elsewhere.has(response.status)
      // Where a gateway has answered, the region is there: it tells of a provider, of its load, or of a tenant's machine.
      permit?.report(isWell || response.headers.has('x-request-id') ? 'success' : 'failure')
      // A refusal is quick, and says nothing of how fast a region is.
      if (safe.has(method) && isWell) note(region, clock.now() - startedAt)
      return response
    } catch (error) {
      // What cannot be asked at all says nothing of who would have been.
      if (error instanceof ApiError) {
        permit?.report('neutral')
        throw error
      }
      permit?.report(signal.aborted ? 'neutral' : 'failure')
      // At once: what is sent to a region that is gone may be lost. An only one has nobody to stand in for it. But of one
      // body on its way nobody knows which of its ends broke off, and of one silence whether it is long work: a caller
      // would close a region to all others.
      const isSure = error instanceof NotSent || (isWhole(request) && !(error instanceof NotAnswered))
      if (!signal.aborted && isSure && regions.length > 1) region.breaker.openEarly(1)
      throw error
    }
  }

  async function askBounded(region: Region, request: RegionalRequest): Promise<Response> {
    const late = new AbortController()
    const cancel = clock.setTimer(maxReadMs, () => late.abort(new NotAnswered(`silent for ${maxReadMs} ms`)))
    try {
      return await ask(requestFor(region, { ...request, signal: AbortSignal.any([request.signal, late.signal]) }))
    } catch (error) {
      throw late.signal.aborted ? late.signal.reason : error
    } finally {
      cancel()
    }
  }

  function stick({ caller, path }: RegionalRequest, response: Response, region: Region) {
    if (caller === undefined || !path.startsWith('/api/') || response.status >= 500) return
    wroteAt.delete(caller)
    wroteAt.set(caller, { region, until: clock.now() + stickyMs })
    const [oldest] = wroteAt.keys()
    if (wroteAt.size > maxSticky && oldest !== undefined) wroteAt.delete(oldest)
  }

  return { send }
}

/** @throws ApiError where no such request can be made */
function requestFor(region: Region, { method, path, headers, body, signal }: RegionalRequest): Request {
  const duplex = body instanceof ReadableStream ? { duplex: 'half' } : {}
  try {
    return new Request(region.origin + path, { method, headers, body, signal, redirect: 'manual', ...duplex })
  } catch (cause) {
    throw new ApiError('invalid_header', { cause, message: 'No such request can be sent on.' })
  }
}

/** `mayRepeat`: SDKs send a 503 again by themselves, unless they are told not to. */
const unreachable = (cause: unknown, mayRepeat: boolean) =>
  new ApiError('region_unreachable', { cause, retryAfterMs: openMs, shouldRetry: mayRepeat })

const doubt = ({ breaker }: Region) => Number(breaker.state() !== 'closed')

function isFaster(region: Region, than: Region): boolean {
  if (region.readMs === undefined || than.readMs === undefined) return false
  if (Math.min(region.reads, than.reads) < minReads) return false
  return region.readMs < than.readMs * faster.share && region.readMs < than.readMs - faster.ms
}

function note(region: Region, ms: number) {
  region.reads++
  region.readMs = region.readMs === undefined ? ms : region.readMs + (ms - region.readMs) * newestShare
}

const rotated = (order: readonly Region[], by: number) => [...order.slice(by), ...order.slice(0, by)]

/** What a rented machine serves may be long in the making, or wait for something to happen there. */
const isShortRead = ({ method, path }: RegionalRequest) => safe.has(method) && parseProxiedTarget(path) === undefined

const isWhole = ({ body }: RegionalRequest) => !(body instanceof ReadableStream)

/** Routes on which an `Idempotency-Key` counts; on others it is a header like any, and keeps nothing from being done twice. */
const keyed =
  /^\/(v1\/|api\/v1\/(gpu\/(instances|reservations|deployments)|billing\/payments|admin\/accounts\/[^/]+\/credits)$)/
const isKeyed = ({ method, path, headers }: RegionalRequest) =>
  method === 'POST' && headers.has('idempotency-key') && keyed.test(path.split('?', 1)[0]!)

/** Whatever became of it: a read, or what its key keeps from being done twice (the regions share the books). */
const maySendAgain = (request: RegionalRequest) => isWhole(request) && (safe.has(request.method) || isKeyed(request))

/** Whether another region should be asked in place of this answer. `x-should-retry: true`: nothing has been done. */
function mayGoOn(request: RegionalRequest, response: Response): boolean {
  if (!elsewhere.has(response.status) || !isWhole(request)) return false
  return safe.has(request.method) || (response.status === 503 && response.headers.get('x-should-retry') === 'true')
}
