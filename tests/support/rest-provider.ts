/** What a client of a JSON API is given, with every guard real and the network scripted. */
import type { RestOptions } from '../../src/providers/rest-call.ts'
import { createBackoff } from '../../src/resilience/backoff.ts'
import { createGuardedCall } from '../../src/upstream/guarded-call.ts'
import { createUpstream } from '../../src/upstream/upstream.ts'
import { FakeClock } from './fake-clock.ts'
import { FakeHttp, type Scripted } from './fake-http.ts'
import { FakeMetrics } from './fake-metrics.ts'

export function restProvider(name: string, ...script: Scripted[]) {
  const clock = new FakeClock()
  const metrics = new FakeMetrics()
  const http = new FakeHttp(clock, ...script)
  const random = () => 0
  const upstream = createUpstream({
    name,
    clock,
    random,
    metrics,
    maxConcurrent: 32,
    retryBudgetRatio: 1,
    breaker: { failureThreshold: 0.6, minCalls: 10, openMs: 30_000, trialCalls: 3, trialLeaseMs: 10_000 },
    circuitName: () => name,
    onTransition() {},
  })
  const guardedCall = createGuardedCall({
    clock,
    metrics,
    backoff: createBackoff({ random }),
    maxAttempts: 3,
    maxHintWaitMs: 3_000,
  })
  const options: RestOptions = { baseUrl: `http://${name}`, apiKey: 'the key', http, clock, upstream, guardedCall }
  return { clock, http, upstream, options }
}
