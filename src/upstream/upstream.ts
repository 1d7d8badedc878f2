/**
 * An upstream: one outside service behind its guards. It has one bulkhead and one retry budget; each of its circuits
 * (an operation class of a market, a model of a provider) has a breaker and a throttle gate of its own, so that one
 * broken model does not take its provider with it.
 */
import type { Clock, FleetBoard, Metrics } from '../ports.ts'
import { type AdaptiveLimit, createAdaptiveLimit } from '../resilience/adaptive-limit.ts'
import { type Bulkhead, createBulkhead } from '../resilience/bulkhead.ts'
import type { BreakerState, CircuitBreakerOptions } from '../resilience/circuit-breaker.ts'
import { alone, type Word } from '../resilience/fleet-board.ts'
import { createFleetBreaker, type FleetBreaker } from '../resilience/fleet-breaker.ts'
import { createRetryBudget, type RetryBudget } from '../resilience/retry-budget.ts'
import { createSilenceWatch, type SilenceWatch } from '../resilience/silence-watch.ts'
import { createThrottleGate, type ThrottleGate } from '../resilience/throttle-gate.ts'
import { instruments } from '../telemetry/instruments.ts'
import { createFirstToken, type FirstToken } from './first-token.ts'
import { createProbe, type ProbeOptions } from './probe.ts'

export interface Circuit {
  /** The operation class or model that it is for. */
  key: string
  /** Its name in metrics. */
  name: string
  firstToken: FirstToken
  breaker: FleetBreaker
  gate: ThrottleGate
  silence: SilenceWatch
}

export interface Upstream {
  name: string
  bulkhead: Bulkhead
  /** How many calls at once it can take, learned from its streams; undefined = a fixed number. */
  limit: AdaptiveLimit | undefined
  budget: RetryBudget
  /** The circuit for a key (an operation class or a model), made on first use. */
  circuit(key: string): Circuit
  circuits(): Iterable<Circuit>
  /** Of the circuit for a key, which is not made for it: for how long nobody has been answered, where that is unusual; else 0. */
  silentForMs(key: string): number
  /** What a circuit of this key would be called. */
  circuitName(key: string): string
  /** What circuits are called has changed. */
  rename(): void
  /** An operator's word on all circuits of a name, those made later included. */
  force(circuitName: string, state: 'open' | 'closed' | 'auto'): void
  /** The names under such a word. */
  forced: ReadonlyMap<string, Word>
  /** Ends the probing of open circuits. */
  stop(): void
  /** Also says nothing more to the fleet, and hears nothing more. */
  retire(): void
}

export interface UpstreamOptions {
  name: string
  /** What the fleet knows it by, where several share a name. @default the name */
  id?: string | undefined
  clock: Clock
  random: () => number
  metrics: Metrics
  /** Calls at once, at most. */
  maxConcurrent: number
  /** The limit comes down when answers begin later than usual. */
  adaptive?: boolean
  retryBudgetRatio: number
  breaker: Omit<
    CircuitBreakerOptions,
    'clock' | 'random' | 'onTransition' | 'restore' | 'onFailure' | 'trialTurn' | 'pods'
  >
  /** The metric name of a circuit. Must come from a small fixed set. */
  circuitName: (key: string) => string
  onTransition: (circuit: string, to: BreakerState) => void
  /** A cheap question by which open circuits learn early that the upstream is back. @default none is asked */
  probe?: ProbeOptions['ask'] | undefined
  /** What other pods know. @default there are none */
  fleet?: FleetBoard | undefined
}

/** What a caller made up to be longer is no matter of the fleet's. */
const maxSharedKeyLength = 300

/** Circuits kept per upstream; the least recently used one that is closed goes. */
const maxCircuits = 256

export function createUpstream(options: UpstreamOptions): Upstream {
  const { name, id = name, clock, random, metrics, breaker, circuitName, onTransition, fleet = alone } = options
  const circuits = new Map<string, Circuit>()
  const forced = new Map<string, Word>()
  const owns = (circuitName: string) => circuitName === name || circuitName.startsWith(`${name}:`)
  const idOf = (key: string) => `${id}/${key}`
  const probeId = `${id}?`
  const probe =
    options.probe &&
    createProbe({
      clock,
      random,
      ask: options.probe,
      circuits: () => circuits.values(),
      fleet,
      what: probeId,
      onAnswer: (succeeded) =>
        metrics.count(instruments.upstreamRequests, {
          upstream: name,
          outcome: succeeded ? 'probe_ok' : 'probe_failed',
        }),
    })

  // There with 0 before the first of them: alerts go by how much a series has risen.
  for (const counter of [instruments.credentialRejected, instruments.retryBudgetExhausted]) {
    metrics.count(counter, { upstream: name }, 0)
  }

  const createCircuit = (key: string): Circuit => {
    const name = circuitName(key)
    metrics.count(instruments.breakerTransitions, { name, to: 'open' }, 0)
    const state = forced.get(name)
    const circuit: Circuit = {
      key,
      name,
      firstToken: createFirstToken({ clock }),
      gate: createThrottleGate({ clock }),
      silence: createSilenceWatch({ clock }),
      breaker: createFleetBreaker({
        ...breaker,
        fleet: key.length > maxSharedKeyLength ? alone : fleet,
        circuit: idOf(key),
        name: () => circuit.name,
        clock,
        random,
        ...(state && { restore: { state: `forced_${state}` as const, opensInARow: 0, remainingMs: 0 } }),
        onTransition(to) {
          metrics.count(instruments.breakerTransitions, { name: circuit.name, to })
          onTransition(circuit.name, to)
          probe?.wake()
        },
      }),
    }
    return circuit
  }

  /** Names that callers made up must not push out what is known of a model that fails. */
  const dropOne = () => {
    let dropped = circuits.values().next().value!
    for (const circuit of circuits.values()) {
      if (circuit.breaker.state() !== 'closed') continue
      dropped = circuit
      break
    }
    circuits.delete(dropped.key)
    dropped.breaker.retire()
  }

  const force = (ofName: string, state: Word | 'auto') => {
    if (state === 'auto') forced.delete(ofName)
    else forced.set(ofName, state)
    for (const circuit of circuits.values()) if (circuit.name === ofName) circuit.breaker.force(state)
    fleet.tell(ofName, state === 'auto' ? undefined : forcedReport(ofName, state, clock.now()))
  }
  for (const [ofName, word] of fleet.words()) if (owns(ofName)) force(ofName, word)
  const stopListening = fleet.listen({
    onReports(changed) {
      for (const of of changed) if (of.startsWith(`${id}/`)) circuits.get(of.slice(id.length + 1))?.breaker.heard()
      if (changed.has(probeId)) probe?.heard()
    },
    onWord(ofName, word) {
      if (owns(ofName)) force(ofName, word)
    },
  })

  const bulkhead = createBulkhead({ clock, limit: options.maxConcurrent })
  return {
    name,
    bulkhead,
    limit: options.adaptive
      ? createAdaptiveLimit({ clock, maxLimit: options.maxConcurrent, onChange: (limit) => bulkhead.resize(limit) })
      : undefined,
    budget: createRetryBudget({ clock, ratio: options.retryBudgetRatio, pods: fleet.pods }),
    circuit(key) {
      let circuit = circuits.get(key)
      if (circuit && circuits.size === 1) return circuit
      if (circuit) circuits.delete(key)
      else circuit = createCircuit(key)
      circuits.set(key, circuit)
      if (circuits.size > maxCircuits) dropOne()
      return circuit
    },
    circuits: () => circuits.values(),
    silentForMs: (key) => circuits.get(key)?.silence.silentForMs() ?? 0,
    circuitName,
    rename() {
      for (const circuit of circuits.values()) circuit.name = circuitName(circuit.key)
    },
    force,
    forced,
    stop: () => probe?.stop(),
    retire() {
      probe?.stop()
      if (probe) fleet.tell(probeId, undefined)
      stopListening()
      for (const { breaker } of circuits.values()) breaker.retire()
      for (const ofName of forced.keys()) fleet.tell(ofName, undefined)
    },
  }
}

const forcedReport = (name: string, word: Word, now: number) =>
  ({ name, state: `forced_${word}`, own: false, byTrials: false, at: now, until: now }) as const

/** Takes note of a stream's beginning (in ms), or that it was dropped. */
export function noteStream({ limit, bulkhead }: Upstream, circuit: Circuit, began: number | 'dropped') {
  const { firstToken, key: baseline } = circuit
  const inFlight = bulkhead.inUse
  if (began === 'dropped') return limit?.sample({ baseline, rttMs: 0, inFlight, dropped: true })
  firstToken.began(began)
  limit?.sample({ baseline, rttMs: began, inFlight })
}

/** Takes note of an answer that came as a whole, or was dropped. */
export function noteWhole({ limit, bulkhead }: Upstream, { key: baseline }: Circuit, dropped: boolean) {
  limit?.sample({ baseline, rttMs: undefined, inFlight: bulkhead.inUse, dropped })
}

const stateNumber: Record<BreakerState, number> = { closed: 0, forced_closed: 0, half_open: 1, open: 2, forced_open: 2 }

/** One sample per name: the worst of the circuits that share it. */
export const breakerStates = (names: readonly string[], upstreams: Iterable<Upstream>) =>
  largestByName(names, upstreams, ({ breaker }) => stateNumber[breaker.status().state], stateOfWord)

const stateOfWord = (word: Word) => stateNumber[`forced_${word}`]

/** In seconds; the longest of the circuits that share a name. */
export const silences = (names: readonly string[], upstreams: Iterable<Upstream>) =>
  largestByName(names, upstreams, ({ silence }) => silence.silentForMs() / 1_000)

/** `names` are there from the first scrape; with `ofWord` also those under an operator's word, which may have no circuit. */
function* largestByName(
  names: readonly string[],
  upstreams: Iterable<Upstream>,
  of: (circuit: Circuit) => number,
  ofWord?: (word: Word) => number,
) {
  const largest = new Map(names.map((name) => [name, 0]))
  const add = (name: string, value: number) => largest.set(name, Math.max(largest.get(name) ?? 0, value))
  for (const upstream of upstreams) {
    if (ofWord) for (const [name, word] of upstream.forced) add(name, ofWord(word))
    for (const circuit of upstream.circuits()) add(circuit.name, of(circuit))
  }
  for (const [name, value] of largest) yield [{ name }, value] satisfies [{ name: string }, number]
}
