import { expect, test } from 'vitest'
import { blockedBy, strictest, windowMinutes, windowNames, windowStates } from './guardrails.ts'

const now = 30_000_000
const spentAt = (...rows: [minutesAgo: number, amount: number][]) =>
  new Map(rows.map(([ago, amount]) => [now - ago, amount]))

test('there are seventeen windows', () => expect(windowNames).toHaveLength(17))

test('each window sums its own minutes, the one under way included', () => {
  const states = windowStates(spentAt([0, 1], [4, 10], [5, 100], [4_319, 1_000], [4_320, 10_000]), {}, now)
  const spent = Object.fromEntries(states.map(({ name, spent }) => [name, spent]))
  expect(spent).toMatchObject({ '5min': 11, '15min': 111, '48h': 111, '72h': 1_111 })
})

test.each(windowNames)('%s: what was spent leaves it after its whole length', (name) => {
  const minutes = windowMinutes[name]
  const limits = { [name]: 10 }
  expect(blockedBy(spentAt([minutes - 1, 10]), limits, now, 1)).toEqual({
    window: name,
    limit: 10,
    spent: 10,
    asked: 1,
    freesAtMinute: now + 1,
  })
  expect(blockedBy(spentAt([minutes, 10]), limits, now, 1)).toBeUndefined()
})

test('exactly the limit may be spent', () => {
  expect(blockedBy(spentAt([0, 6]), { '5min': 10 }, now, 4)).toBeUndefined()
  expect(blockedBy(spentAt([0, 6]), { '5min': 10 }, now, 5)).toMatchObject({ window: '5min', spent: 6, asked: 5 })
})

test('it frees once enough of it has left, not with the first of it', () => {
  expect(blockedBy(spentAt([3, 2], [2, 2], [0, 6]), { '5min': 10 }, now, 4)).toMatchObject({ freesAtMinute: now + 3 })
})

test('more than the whole window never fits', () => {
  expect(blockedBy(new Map(), { '5min': 10 }, now, 11)).toMatchObject({ spent: 0, freesAtMinute: undefined })
})

test('of several windows the one is named that blocks the longest', () => {
  const limits = { '5min': 10, '60min': 10, '15min': 10 }
  expect(blockedBy(spentAt([0, 10]), limits, now, 1)).toMatchObject({ window: '60min', freesAtMinute: now + 60 })
})

test('an account may only be stricter than the operator', () => {
  expect(strictest({ '5min': 10, '15min': 20 }, { '5min': 50, '60min': 5 })).toEqual({
    '5min': 10,
    '15min': 20,
    '60min': 5,
  })
})
