import { expect, test } from 'vitest'
import { recoverySeconds, type Sent } from '../../bench/gameday/load.ts'
import { earlyCalls } from '../../bench/gameday/providers.ts'

const at = (...times: number[]) => times.map((time) => ({ at: time, pod: '0' }))

test('a call within the time that a 429 asked for is early, but for what was under way', () => {
  expect(earlyCalls(at(0, 100, 400))).toBe(0)
  expect(earlyCalls(at(0, 600))).toBe(1)
  expect(earlyCalls(at(0, 4_900, 5_100))).toBe(1)
  expect(earlyCalls(at(0, 5_000, 10_000))).toBe(0)
})

test('each gateway is told by itself', () => {
  expect(earlyCalls([...at(0), { at: 2_000, pod: '1' }])).toBe(0)
})

const sent = (second: number, whole: boolean) => ({ at: second * 1_000 + 500, whole }) as Sent
const recovered = (wholes: readonly boolean[]) =>
  recoverySeconds(
    wholes.map((whole, second) => sent(second, whole)),
    0,
    (all) => all.every(({ whole }) => whole),
  )

test('the recovery is over with the first second from which on all are good', () => {
  expect(recovered([true, true, true])).toBe(0)
  expect(recovered([false, true, true])).toBe(1)
  expect(recovered([true, false, true, true])).toBe(2)
  expect(recovered([true, true, false])).toBe(Infinity)
})
