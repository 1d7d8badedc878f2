import { expect, it } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createDeadline } from './deadline.ts'

it.each([
  [undefined, 1_000, false],
  [400, 400, true],
  [1_000, 1_000, false],
  [5_000, 1_000, false],
  [Number.NaN, 1_000, false],
])('a caller who asks for %s ms of 1,000 gets %i', (callerMs, remainingMs, byCaller) => {
  const deadline = createDeadline(new FakeClock(), { limitMs: 1_000, callerMs })
  expect(deadline.remainingMs()).toBe(remainingMs)
  expect(deadline.byCaller).toBe(byCaller)
})

it('runs down with the clock that never steps, and below zero', () => {
  const clock = new FakeClock()
  const deadline = createDeadline(clock, { limitMs: 1_000 })
  clock.tick(300)
  clock.stepWall(-3_600_000)
  expect(deadline.remainingMs()).toBe(700)
  clock.tick(800)
  expect(deadline.remainingMs()).toBe(-100)
})

it('is the whole answer’s once a stream has begun in the time that the caller gave for that', () => {
  const clock = new FakeClock()
  const deadline = createDeadline(clock, { limitMs: 1_000, callerMs: 800, beginMs: 200 })
  clock.tick(150)
  expect([deadline.remainingMs(), deadline.byCaller]).toEqual([50, true])
  deadline.begun()
  expect([deadline.remainingMs(), deadline.byCaller]).toEqual([650, true])
  const generous = createDeadline(clock, { limitMs: 1_000, beginMs: 200 })
  generous.begun()
  expect([generous.remainingMs(), generous.byCaller]).toEqual([1_000, false])
})
