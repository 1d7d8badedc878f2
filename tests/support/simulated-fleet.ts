/** A fleet in one process, on a clock that is told to go on: pods with real boards, breakers and budgets, and a board's store that is late, loses messages, and goes away. */
import { createMemoryFleetStore } from '../../adapters/memory/fleet-store.ts'
import { createBackoff } from '../../src/resilience/backoff.ts'
import type { BreakerState } from '../../src/resilience/circuit-breaker.ts'
import { createDeadline } from '../../src/resilience/deadline.ts'
import type { FleetStore, Push } from '../../src/resilience/fleet-store.ts'
import { createSharedBoard, type SharedBoard } from '../../src/resilience/shared-board.ts'
import { createGuardedCall } from '../../src/upstream/guarded-call.ts'
import { UpstreamFailure } from '../../src/upstream/outcome.ts'
import { createUpstream, type Upstream } from '../../src/upstream/upstream.ts'
import { FakeClock } from './fake-clock.ts'
import { FakeMetrics } from './fake-metrics.ts'
import { seededRandom } from './seeded-random.ts'

export interface FleetOptions {
  seed: number
  pods: number
  /** Share of the messages to and from the store that are lost. @default 0 */
  loss?: number
  /** Mean time between two calls of a pod. @default 1_000 */
  callEveryMs?: number
  /** Whether the breakers are left to themselves. @default true */
  breaking?: boolean
  /** Tries of a request. @default 1 */
  maxAttempts?: number
  /** Whether open circuits are probed. @default true */
  probing?: boolean
}

export interface Trial {
  pod: SimulatedPod
  /** The board's own word at the beginning of the trial. */
  holder: string | undefined
  heardBoard: boolean
  at: number
}

export interface SimulatedPod {
  name: string
  board: SharedBoard
  upstream: Upstream
  state(): BreakerState
  /** Its own network fails every call. */
  sick: boolean
  /** It reaches no store. */
  cut: boolean
  cutAt: number
  dead: boolean
  /** Failures that its breaker heard of while it was closed, since it last was open. */
  failuresWhileClosed: { at: number }[]
}

const answerTimeoutMs = 100
const key = 'gpt'
export const circuitId = `openai/${key}`

export function createFleet(options: FleetOptions) {
  const { seed, loss = 0, callEveryMs = 1_000, breaking = true, maxAttempts = 1, probing = true } = options
  const clock = new FakeClock()
  const random = seededRandom(seed)
  const hub = createMemoryFleetStore({ clock })
  const pods: SimulatedPod[] = []
  const store = { away: false, awayAt: -Infinity }
  const provider = { down: false, chance: 0 }
  const seen = { requests: 0, attempts: 0, trials: 0, probes: 0 }
  const running = new Set<Trial>()
  const onTrial: ((trial: Trial) => void)[] = []
  const onState: ((pod: SimulatedPod, to: BreakerState) => void)[] = []

  const wait = (ms: number) => new Promise<void>((resolve) => void clock.setTimer(ms, resolve))
  const unreachable = (pod: SimulatedPod) => store.away || pod.cut || pod.dead

  /** There and back, each with a delay; what is lost is noticed by its absence. */
  const linkOf = (pod: SimulatedPod): FleetStore => {
    const call = async <T>(ask: () => Promise<T>): Promise<T> => {
      const since = clock.now()
      const lost = async (): Promise<never> => {
        await wait(Math.max(since + answerTimeoutMs - clock.now(), 0))
        throw new Error('timeout')
      }
      await wait(random() * 20)
      if (unreachable(pod) || random() < loss) return lost()
      const answer = await ask()
      await wait(random() * (random() < 0.05 ? 200 : 20))
      if (unreachable(pod) || random() < loss || clock.now() - since > answerTimeoutMs) return lost()
      return answer
    }
    return {
      sync: (beat) => call(() => hub.sync(beat)),
      claim: (what, name, ms) => call(() => hub.claim(what, name, ms)),
      leave: (name) => call(() => hub.leave(name)),
      subscribe({ onPush, onGap }) {
        const hear = async (push: Push) => {
          await wait(random() * 50)
          if (!unreachable(pod) && random() >= loss) onPush(push)
        }
        hub.subscribe({ onPush: (push) => void hear(push), onGap })
      },
    }
  }

  function start(): SimulatedPod {
    const pod = {
      name: `pod-${pods.length + 1}`,
      sick: false,
      cut: false,
      cutAt: -Infinity,
      dead: false,
      failuresWhileClosed: [],
    } as unknown as SimulatedPod
    pod.board = createSharedBoard({ clock, random, pod: pod.name, store: linkOf(pod) })
    pod.upstream = createUpstream({
      name: 'openai',
      clock,
      random,
      metrics: new FakeMetrics(),
      maxConcurrent: 1_000,
      retryBudgetRatio: 0.1,
      breaker: {},
      circuitName: (model) => `openai:${model}`,
      onTransition(_circuit, to) {
        if (to === 'closed') pod.failuresWhileClosed = []
        for (const hear of onState) hear(pod, to)
      },
      ...(probing && {
        probe: async () => {
          seen.probes++
          await wait(5 + random() * 20)
          return !provider.down && !pod.sick && !pod.dead
        },
      }),
      fleet: pod.board,
    })
    const circuit = pod.upstream.circuit(key)
    if (!breaking) circuit.breaker.force('closed')
    pod.state = () => circuit.breaker.state()
    pods.push(pod)
    return pod
  }

  const guardedCallOf = () =>
    createGuardedCall({
      clock,
      metrics: new FakeMetrics(),
      backoff: createBackoff({ random }),
      maxAttempts,
      maxHintWaitMs: 3_000,
    })
  const guardedCall = guardedCallOf()

  async function request(pod: SimulatedPod) {
    seen.requests++
    const circuit = pod.upstream.circuit(key)
    const trace = { attempts: 0, waitedMs: 0 }
    const send = async () => {
      seen.attempts++
      const trial = circuit.breaker.state() === 'half_open' ? beginTrial(pod) : undefined
      await wait(10 + random() * 200)
      // The process is gone: nobody hears how it went.
      if (pod.dead) {
        if (trial) running.delete(trial)
        return new Promise<never>(() => {})
      }
      if (trial) running.delete(trial)
      if (!provider.down && !pod.sick && random() >= provider.chance) return 'fine'
      if (pod.state() === 'closed') pod.failuresWhileClosed.push({ at: clock.now() })
      throw new UpstreamFailure('server', { status: 503 })
    }
    await guardedCall([{ upstream: pod.upstream, circuit, send }], {
      deadline: createDeadline(clock, { limitMs: 60_000 }),
      signal: new AbortController().signal,
      repeat: 'idempotent',
      trace,
    }).catch((error: unknown) => {
      if (!(error instanceof UpstreamFailure)) throw error
    })
  }

  function beginTrial(pod: SimulatedPod): Trial {
    const trial: Trial = {
      pod,
      holder: hub.holder(circuitId),
      heardBoard: pod.board.reachable() && !pod.cut && !store.away,
      at: clock.now(),
    }
    seen.trials++
    running.add(trial)
    for (const hear of onTrial) hear(trial)
    return trial
  }

  function keepCalling(pod: SimulatedPod) {
    clock.setTimer(callEveryMs * 2 * random(), () => {
      if (pod.dead) return
      void request(pod)
      keepCalling(pod)
    })
  }

  for (let i = 0; i < options.pods; i++) keepCalling(start())

  return {
    clock,
    random,
    hub,
    pods,
    store,
    provider,
    seen,
    running,
    onTrial,
    onState,
    live: () => pods.filter(({ dead }) => !dead),
    startPod() {
      const pod = start()
      keepCalling(pod)
      return pod
    },
    /** As by kill -9: it says goodbye to nobody. */
    kill(pod: SimulatedPod) {
      pod.dead = true
      pod.upstream.stop()
    },
    advance: (ms: number) => clock.advance(ms),
  }
}

export type Fleet = ReturnType<typeof createFleet>
