import { expect, test } from 'vitest'
import type { Sent } from '../../bench/gameday/load.ts'
import { judgeGateways, type Sample, slopeOf, unexplained } from '../../bench/soak/judge.ts'

const sent = (at: number, own: Partial<Sent> = {}): Sent => ({
  kind: 'chat',
  number: 1,
  at,
  ms: 10,
  firstMs: 5,
  lagMs: 0,
  status: 503,
  whole: false,
  code: 'upstream_unavailable',
  requestId: 'an id',
  tries: 1,
  retryAfter: '1',
  received: 0,
  leftAt: undefined,
  silentlyCut: false,
  ...own,
})
const spells = [{ fault: 'a provider refuses', from: 20_000, to: 25_000 }]

test('the slope is that of the line through the samples, whatever lies around it', () => {
  const line = Array.from({ length: 60 }, (_, i) => ({ minute: i / 4, mib: 200 + 1.5 * (i / 4) + (i % 2 ? 3 : -3) }))
  expect(slopeOf(line)).toBeCloseTo(1.5, 1)
  expect(slopeOf(line.map(({ minute }) => ({ minute, mib: 200 })))).toBe(0)
})

test('a refusal during a fault, or just after it, is explained; one without a fault is not', () => {
  const all = [sent(21_000), sent(30_000), sent(19_000, { ms: 5_000 })]
  expect(unexplained(all, spells)).toEqual([])
  expect(unexplained([sent(5_000), sent(40_000)], spells)).toHaveLength(2)
  expect(unexplained([sent(5_000, { whole: true, status: 200 })], spells)).toEqual([])
})

test('no fault explains a connection that broke, a 500, or a stream that ends without a word', () => {
  const odd = [
    sent(21_000, { status: 0 }),
    sent(21_000, { status: 500 }),
    sent(21_000, { status: 200, silentlyCut: true }),
  ]
  expect(unexplained(odd, spells)).toEqual(odd)
})

const minutes = 30
const samples = (mibOf: (minute: number) => number, descriptorsOf: (minute: number) => number): Sample[] =>
  Array.from({ length: minutes }, (_, minute) => {
    return { minute, pod: 0, mib: mibOf(minute), descriptors: descriptorsOf(minute) }
  })
const missed = (all: readonly Sample[]) => judgeGateways(all, minutes).filter(({ met }) => !met)

test('what is used up while it warms up is no leak; what goes on growing is', () => {
  const flat = samples(
    (minute) => Math.min(100 + 20 * minute, 250),
    () => 60,
  )
  expect(missed(flat)).toEqual([])
  const leaking = samples(
    (minute) => 100 + 1.2 * minute,
    () => 60,
  )
  expect(missed(leaking).map(({ name }) => name)).toEqual(['gateway 0: memory grows after the first third by'])
  const open = samples(
    () => 200,
    (minute) => 60 + 2 * minute,
  )
  expect(missed(open).map(({ name }) => name)).toEqual([
    'gateway 0: open descriptors at rest, the last third above the first',
  ])
})
