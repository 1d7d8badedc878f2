import { expect, test } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import type { LogFields } from '../telemetry/log-fields.ts'
import { createAutoscaler } from './autoscaler.ts'

function setUp({ pods = 1, maxReplicas = Number.POSITIVE_INFINITY } = {}) {
  const clock = new FakeClock()
  const load = { perSecond: 0, streams: 0, asked: 0 }
  const lines: LogFields[] = []
  const autoscaler = createAutoscaler({
    clock,
    random: () => 0.5,
    log: { debug() {}, info: (_, fields) => void lines.push(fields ?? {}), warn() {}, error() {} },
    pods: () => pods,
    arrivals: () => load.asked,
    streams: () => load.streams,
    leadMs: 60_000,
    podArrivalsPerSecond: 1_000,
    podStreams: 500,
    maxReplicas,
  })
  autoscaler.start()
  const pass = async (seconds: number) => {
    for (let second = 0; second < seconds; second++) {
      load.asked += load.perSecond
      await clock.advance(1_000)
    }
  }
  return { clock, load, lines, autoscaler, pass }
}

test('an idle pod wants itself only', async () => {
  const { autoscaler, pass, lines } = setUp()
  await pass(60)
  expect(autoscaler.desired()).toEqual({ replicas: 1, reason: 'idle' })
  expect(lines).toEqual([])
})

test('what one pod is asked, every pod is', async () => {
  const { autoscaler, load, pass } = setUp({ pods: 10 })
  load.perSecond = 1_500
  await pass(150)
  expect(autoscaler.demand().arrivals).toBeCloseTo(1.5, 1)
  expect(autoscaler.desired()).toEqual({ replicas: 15, reason: 'arrivals' })
})

test('streams that stay count though nothing new comes', async () => {
  const { autoscaler, load, pass } = setUp({ pods: 4 })
  load.streams = 1_000
  await pass(150)
  expect(autoscaler.desired()).toEqual({ replicas: 8, reason: 'streams' })
})

test('no more are wanted than are paid for', async () => {
  const { autoscaler, load, pass } = setUp({ pods: 4, maxReplicas: 5 })
  load.streams = 1_000
  await pass(150)
  expect(autoscaler.desired()).toEqual({ replicas: 5, reason: 'spend_cap' })
})

test('a change is logged with its reason, once', async () => {
  const { load, pass, lines } = setUp()
  load.streams = 1_000
  await pass(20)
  expect(lines).toEqual([{ state: 'streams', detail: '2 pods' }])
})

test('stopped, it leaves no timer', async () => {
  const { autoscaler, clock, pass } = setUp()
  await pass(10)
  autoscaler.stop()
  await clock.advance(0)
  expect(clock.pendingTimers).toBe(0)
})
