import { expect, it } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { createFaultInjection } from '../upstream/fault-injection.ts'
import { createFaults, faultsAllowed } from './faults.ts'

it.each([
  ['development', undefined, undefined, true],
  ['test', true, undefined, true],
  ['development', false, true, false],
  ['production', undefined, undefined, false],
  ['production', true, undefined, false],
  ['production', undefined, true, false],
  ['production', true, false, false],
  ['production', true, true, true],
] as const)(
  'in %s, FAULTS_ENABLED=%s and FAULTS_IN_PRODUCTION=%s: %s',
  (NODE_ENV, FAULTS_ENABLED, inProduction, allowed) => {
    expect(faultsAllowed({ NODE_ENV, FAULTS_ENABLED, FAULTS_IN_PRODUCTION: inProduction })).toBe(allowed)
  },
)

it('are not set where they are not allowed', () => {
  const clock = new FakeClock()
  const injection = createFaultInjection({
    clock,
    random: () => 0.5,
    metrics: new FakeMetrics(),
    upstreams: () => ['openai'],
  })
  const fault = { target: 'openai', kind: 'cut', share: 1, expiresInMs: 1_000 } as const
  expect(() => createFaults({ injection, allowed: false }).set([fault])).toThrow(
    expect.objectContaining({ code: 'faults_disabled', status: 403 }),
  )
  expect(injection.list()).toEqual([])
  expect(createFaults({ injection, allowed: true }).set([fault])).toMatchObject([{ target: 'openai', kind: 'cut' }])
})
