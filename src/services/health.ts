/** What `/health` tells: each dependency, from a snapshot that is at most a second old, however many ask. */
import type { Clock, HealthProbe, Ports } from '../ports.ts'
import type { BreakerState } from '../resilience/circuit-breaker.ts'
import { createSingleFlight } from '../resilience/single-flight.ts'
import type { Upstream } from '../upstream/upstream.ts'

export interface HealthOptions {
  clock: Clock
  version: string
  dependencies: Ports['dependencies']
  /** Undefined = not configured. */
  upstreams: (name: string) => Upstream | undefined
  /** False: the provider refuses the gateway's own, so nothing is sent to it. */
  hasCredential: (name: string) => boolean
  /** Names of the providers that the sandbox plays. */
  sandbox: readonly string[]
}

export interface Health {
  /** The page, ready to send. */
  page(): string | Promise<string>
}

interface Check {
  status: 'ok' | 'degraded' | 'down' | 'in_process' | 'not_configured'
  circuits_open?: number
  reason?: string
}

/** The outside services that the page tells of, whatever is configured. */
const watched = ['vastai', 'ionet', 'openai', 'billing']
const snapshotMs = 1_000
const probeTimeoutMs = 250

export function createHealth(options: HealthOptions): Health {
  const { clock, version, dependencies, upstreams, hasCredential, sandbox } = options
  const startedAt = clock.now()
  const flights = createSingleFlight<string>()
  let page = ''
  let pageAt = -Infinity

  async function take(): Promise<string> {
    const checks: Record<string, Check> = {}
    for (const [name, probe] of Object.entries(dependencies)) {
      checks[name] = typeof probe === 'function' ? await ask(probe) : { status: probe }
    }
    for (const name of watched) checks[name] = checkOf(upstreams(name), hasCredential(name))
    const degraded = Object.values(checks).some(({ status }) => status === 'down' || status === 'degraded')
    page = JSON.stringify({
      status: degraded ? 'degraded' : 'ok',
      version,
      uptime_s: Math.round((clock.now() - startedAt) / 1000),
      sandbox,
      checks,
    })
    pageAt = clock.now()
    return page
  }

  async function ask(probe: HealthProbe): Promise<Check> {
    const controller = new AbortController()
    const stopTimer = clock.setTimer(probeTimeoutMs, () => controller.abort(new Error('no answer in time')))
    try {
      await probe(controller.signal)
      return { status: 'ok' }
    } catch {
      // Why is the dependency's own business to log; here it is only not there.
      return { status: 'down' }
    } finally {
      stopTimer()
    }
  }

  return {
    page: () => (clock.now() - pageAt < snapshotMs ? page : flights.run('page', take)),
  }
}

function checkOf(upstream: Upstream | undefined, hasCredential: boolean): Check {
  if (!upstream) return { status: 'not_configured' }
  let open = 0
  for (const { breaker } of upstream.circuits()) if (!isClosed(breaker.status().state)) open++
  if (open === 0 && hasCredential) return { status: 'ok' }
  return {
    status: 'degraded',
    ...(open > 0 && { circuits_open: open }),
    ...(!hasCredential && { reason: "It refuses the gateway's credential." }),
  }
}

const isClosed = (state: BreakerState) => state === 'closed' || state === 'forced_closed'
