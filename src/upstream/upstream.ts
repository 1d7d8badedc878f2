/**
 * An upstream: one outside service behind its guards. It has one bulkhead and one retry budget; each of its circuits
 * (an operation class of a market, a model of a provider) has a breaker and a throttle gate of its own, so that one
 * broken model does not take its provider with it.
 */
import type { Clock, Metrics } from '../ports.ts'
import { type Bulkhead, createBulkhead } from '../resilience/bulkhead.ts'
import {
  type BreakerState,
  type CircuitBreaker,
  type CircuitBreakerOptions,
  createCircuitBreaker,
} from '../resilience/circuit-breaker.ts'
import { createRetryBudget, type RetryBudget } from '../resilience/retry-budget.ts'
import { createThrottleGate, type ThrottleGate } from '../resilience/throttle-gate.ts'
import { instruments } from '../telemetry/instruments.ts'

export interface Circuit {
  /** Its name in metrics. */
  name: string
  breaker: CircuitBreaker
  gate: ThrottleGate
}

export interface Upstream {
  name: string
  bulkhead: Bulkhead
  budget: RetryBudget
  /** The circuit for a key (an operation class or a model), made on first use. */
  circuit(key: string): Circuit
  circuits(): Iterable<Circuit>
}

export interface UpstreamOptions {
  name: string
  clock: Clock
  random: () => number
  metrics: Metrics
  /** Calls at once. */
  maxConcurrent: number
  retryBudgetRatio: number
  breaker: Omit<CircuitBreakerOptions, 'clock' | 'random' | 'onTransition' | 'restore'>
  /** The metric name of a circuit. Must come from a small fixed set. */
  circuitName: (key: string) => string
  onTransition: (circuit: string, to: BreakerState) => void
}

/** Circuits kept per upstream; the least recently used goes. */
const maxCircuits = 256

export function createUpstream(options: UpstreamOptions): Upstream {
  const { name, clock, random, metrics, breaker, circuitName, onTransition } = options
  const circuits = new Map<string, Circuit>()

  const createCircuit = (key: string): Circuit => {
    const circuitLabel = circuitName(key)
    return {
      name: circuitLabel,
      gate: createThrottleGate({ clock }),
      breaker: createCircuitBreaker({
        ...breaker,
        clock,
        random,
        onTransition(to) {
          metrics.count(instruments.breakerTransitions, { name: circuitLabel, to })
          onTransition(circuitLabel, to)
        },
      }),
    }
  }

  return {
    name,
    bulkhead: createBulkhead({ clock, limit: options.maxConcurrent }),
    budget: createRetryBudget({ clock, ratio: options.retryBudgetRatio }),
    circuit(key) {
      let circuit = circuits.get(key)
      if (circuit && circuits.size === 1) return circuit
      if (circuit) circuits.delete(key)
      else circuit = createCircuit(key)
      circuits.set(key, circuit)
      if (circuits.size > maxCircuits) circuits.delete(circuits.keys().next().value!)
      return circuit
    },
    circuits: () => circuits.values(),
  }
}

const stateNumber: Record<BreakerState, number> = { closed: 0, forced_closed: 0, half_open: 1, open: 2, forced_open: 2 }

/** One sample per name: the worst of the circuits that share it. `names` are there from the first scrape. */
export function* breakerStates(names: readonly string[], upstreams: Iterable<Upstream>) {
  const worst = new Map(names.map((name) => [name, 0]))
  for (const upstream of upstreams) {
    for (const { name, breaker } of upstream.circuits()) {
      worst.set(name, Math.max(worst.get(name) ?? 0, stateNumber[breaker.status().state]))
    }
  }
  for (const [name, value] of worst) yield [{ name }, value] satisfies [{ name: string }, number]
}
