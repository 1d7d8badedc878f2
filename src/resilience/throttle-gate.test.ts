import { expect, it } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createThrottleGate } from './throttle-gate.ts'

it.each([5_000, 0, -5_000])('is open until told otherwise, with the clock at %i', (nowMs) => {
  expect(createThrottleGate({ clock: new FakeClock({ nowMs }) }).closedForMs()).toBe(0)
})

it('stays closed for as long as asked, and a shorter wish does not open it earlier', () => {
  const clock = new FakeClock()
  const gate = createThrottleGate({ clock })
  gate.closeFor(5_000)
  gate.closeFor(1_000)
  expect(gate.closedForMs()).toBe(5_000)
  clock.tick(4_999)
  clock.stepWall(3_600_000)
  expect(gate.closedForMs()).toBe(1)
  clock.tick(1)
  expect(gate.closedForMs()).toBe(0)
})

it('believes no wish beyond 300 s', () => {
  const gate = createThrottleGate({ clock: new FakeClock() })
  gate.closeFor(86_400_000)
  expect(gate.closedForMs()).toBe(300_000)
})
