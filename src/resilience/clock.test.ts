import { expect, it, vi } from 'vitest'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { listening } from '../../tests/support/listening.ts'
import { sleep, systemClock } from './clock.ts'

it('sleeps for as long as asked and leaves no listener', async () => {
  const clock = new FakeClock()
  const { signal } = new AbortController()
  const listeners = listening(signal)
  let awake = false
  const sleeping = sleep(clock, 100, signal).then(() => {
    awake = true
  })
  await clock.advance(99)
  expect(awake).toBe(false)
  await clock.advance(1)
  await sleeping
  expect(listeners()).toBe(0)
  expect(clock.pendingTimers).toBe(0)
})

it('wakes at once with the reason when the signal aborts, leaving no timer', async () => {
  const clock = new FakeClock()
  const controller = new AbortController()
  const listeners = listening(controller.signal)
  const sleeping = sleep(clock, 100, controller.signal)
  controller.abort('gone')
  await expect(sleeping).rejects.toBe('gone')
  expect(listeners()).toBe(0)
  expect(clock.pendingTimers).toBe(0)
})

it('does not sleep at all where the signal had aborted before', async () => {
  const clock = new FakeClock()
  await expect(sleep(clock, 100, AbortSignal.abort('gone'))).rejects.toBe('gone')
  expect(clock.pendingTimers).toBe(0)
})

it('the system’s clock never goes back, and a cancelled timer never runs', async () => {
  let ran = ''
  const cancel = systemClock.setTimer(0, () => {
    ran += 'cancelled'
  })
  cancel()
  const before = systemClock.now()
  await new Promise<void>((resolve) => void systemClock.setTimer(0, resolve))
  await settled()
  expect(ran).toBe('')
  expect(systemClock.now()).toBeGreaterThanOrEqual(before)
  expect(systemClock.wallNow()).toBeGreaterThan(Date.UTC(2024, 0))
})

it.each([
  [1, 1],
  [9_999, 9_999],
  [10_000, 10_000],
  [10_001, 10_100],
  [12_345, 12_400],
  [60_000, 60_000],
])('the system’s timer for %i ms runs after %i', (ms, after) => {
  vi.useFakeTimers()
  try {
    let ran = false
    systemClock.setTimer(ms, () => {
      ran = true
    })
    vi.advanceTimersByTime(after - 1)
    expect(ran).toBe(false)
    vi.advanceTimersByTime(1)
    expect(ran).toBe(true)
  } finally {
    vi.useRealTimers()
  }
})
