import { expect, it } from 'vitest'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { createWaits } from './waits.ts'

function world() {
  const clock = new FakeClock()
  let timers = 0
  const waits = createWaits({
    ...clock,
    setTimer(ms, fn) {
      timers++
      return clock.setTimer(ms, fn)
    },
  })
  return { clock, waits, timers: () => timers }
}
const never = new Promise<string>(() => {})

it('gives what comes in time, and what fails in time fails', async () => {
  const { waits } = world()
  expect(await waits.upTo(100, Promise.resolve('here'))).toBe('here')
  await expect(waits.upTo(100, Promise.reject(new Error('cut')))).rejects.toThrow('cut')
})

it('is late when its own time is over, not that of an earlier wait', async () => {
  const { clock, waits } = world()
  const late: string[] = []
  await waits.upTo(100, Promise.resolve('here'))
  await clock.advance(60)
  void waits.upTo(100, never).then((result) => late.push(result))
  await clock.advance(99)
  expect(late).toEqual([])
  await clock.advance(1)
  expect(late).toEqual(['late'])
})

it('may be asked again with what was late', async () => {
  const { clock, waits } = world()
  let come = (_: string) => {}
  const slow = new Promise<string>((resolve) => {
    come = resolve
  })
  const first = waits.upTo(100, slow)
  await clock.advance(100)
  expect(await first).toBe('late')
  const second = waits.upTo(100, slow)
  await clock.advance(99)
  come('here')
  expect(await second).toBe('here')
})

it('is late early enough where a shorter wait follows a longer one', async () => {
  const { clock, waits } = world()
  await waits.upTo(1_000, Promise.resolve('here'))
  const short = waits.upTo(10, never)
  expect(clock.pendingTimers).toBe(1)
  await clock.advance(10)
  expect(await Promise.race([short, settled()])).toBe('late')
})

it('needs one timer for a thousand events in time', async () => {
  const { clock, waits, timers } = world()
  await waits.upTo(1_000, Promise.resolve('here'))
  await waits.upTo(1_000, Promise.resolve('here'))
  for (let i = 0; i < 998; i++) {
    await waits.upTo(1_000, Promise.resolve('here'))
    clock.tick(1)
  }
  expect(timers()).toBe(1)
})

it('leaves no timer when it is stopped, begun or not', async () => {
  const { clock, waits } = world()
  waits.stop()
  await waits.upTo(100, Promise.resolve('here'))
  expect(clock.pendingTimers).toBe(1)
  waits.stop()
  expect(clock.pendingTimers).toBe(0)
})
