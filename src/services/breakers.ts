/** What operators see of the circuit breakers, and their word on them: one row a name, whatever circuits share it. */
import { ApiError } from '../errors.ts'
import type { Clock, FleetBoard } from '../ports.ts'
import type { BreakerState } from '../resilience/circuit-breaker.ts'
import { alone } from '../resilience/fleet-board.ts'
import type { Upstream } from '../upstream/upstream.ts'

export interface BreakersOptions {
  clock: Clock
  /** Names that are listed from the start, also while no circuit has them. */
  names: () => Iterable<string>
  upstreams: () => Iterable<Upstream>
  /** The name of this pod, whose circuits these are. */
  pod: string
  /** What the other pods say, and where an operator's word reaches them. @default there are none */
  fleet?: FleetBoard | undefined
}

export interface BreakerRow {
  name: string
  /** The worst of the circuits that share the name. */
  state: BreakerState
  /** In the window, of all of them together. */
  failureRate: number
  calls: number
  /** When the first of the open ones takes trial calls; undefined = none waits. */
  nextProbeAt: Date | undefined
  pods: { pod: string; state: BreakerState }[]
}

export interface Breakers {
  list(): BreakerRow[]
  /** @throws ApiError `unknown_breaker` */
  set(name: string, state: 'auto' | 'open' | 'closed'): BreakerRow
}

/** The best first. */
const severity: readonly BreakerState[] = ['closed', 'forced_closed', 'half_open', 'open', 'forced_open']
const worse = (a: BreakerState, b: BreakerState) => (severity.indexOf(a) >= severity.indexOf(b) ? a : b)

interface Sum {
  state: BreakerState
  calls: number
  failures: number
  nextTrialInMs: number
}
const nothingYet = (): Sum => ({ state: 'closed', calls: 0, failures: 0, nextTrialInMs: Infinity })

/** Pods are told apart by an id behind the name that operators know them by. */
const podId = /-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export function createBreakers({ clock, names, upstreams, pod, fleet = alone }: BreakersOptions): Breakers {
  function sums(): Map<string, Sum> {
    const byName = new Map<string, Sum>()
    const sum = (name: string) => {
      const found = byName.get(name) ?? nothingYet()
      byName.set(name, found)
      return found
    }
    for (const name of names()) sum(name)
    for (const upstream of upstreams()) {
      for (const [name, state] of upstream.forced) sum(name).state = `forced_${state}`
      for (const { name, breaker } of upstream.circuits()) {
        const { state, calls, failureRate, nextTrialInMs } = breaker.status()
        const row = sum(name)
        row.state = worse(row.state, state)
        row.calls += calls
        row.failures += Math.round(failureRate * calls)
        if (state === 'open') row.nextTrialInMs = Math.min(row.nextTrialInMs, nextTrialInMs)
      }
    }
    return byName
  }

  const toRow = ([name, { state, calls, failures, nextTrialInMs }]: [string, Sum]): BreakerRow => ({
    name,
    state,
    failureRate: calls === 0 ? 0 : failures / calls,
    calls,
    nextProbeAt: nextTrialInMs === Infinity ? undefined : new Date(clock.wallNow() + nextTrialInMs),
    pods: [{ pod, state }, ...others(name)],
  })

  const others = (name: string): BreakerRow['pods'] =>
    [...fleet.others()].map(([id, reports]) => {
      let state: BreakerState = 'closed'
      for (const report of reports.values()) if (report.name === name) state = worse(state, report.state)
      return { pod: id.replace(podId, ''), state }
    })

  return {
    list: () => [...sums()].map(toRow),
    set(name, state) {
      if (!sums().has(name)) throw new ApiError('unknown_breaker')
      // Rented machines share their name.
      const owners = [...upstreams()].filter((each) => name === each.name || name.startsWith(`${each.name}:`))
      if (owners.length === 0) {
        throw new ApiError('unknown_breaker', { message: `${name} stands for a service that is not configured here.` })
      }
      for (const owner of owners) owner.force(name, state)
      fleet.setWord(name, state)
      // Where it is back to `auto` and has no circuit any more, nothing but its name is left of it.
      return toRow([name, sums().get(name) ?? nothingYet()])
    },
  }
}
