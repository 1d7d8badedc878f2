import { expect, test } from 'vitest'
import type { Sample } from '../../bench/measure.ts'
import { addedLatency, rowsOf, table, verdicts } from '../../bench/rows.ts'

const sample = (more: Partial<Sample> = {}): Sample => ({
  seconds: 1,
  sent: 100,
  answered: 100,
  refused: {},
  failed: {},
  latencyMs: { p50: 1, p99: 2, p999: 3 },
  cpuSecondsPer1000: 0.1,
  peakMib: 50,
  otherCoreBusy: 0.5,
  strangersShare: 0,
  ...more,
})
const shape = { name: 'chat', unit: { name: 'req/s', perRequest: 1 } }

test('throughput judges while the other core has room', () => {
  const rows = rowsOf(
    shape,
    new Map([
      ['gateway', [sample({ answered: 60, sent: 60 })]],
      ['undici', [sample({ cpuSecondsPer1000: 0.05 })]],
    ]),
  )
  expect(rows[1]).toMatchObject({ judged_by: 'throughput', ratio: { median: 0.6 }, ratio_cpu: { median: 0.5 } })
})

test('CPU per request judges when the other core is busy for either of the two', () => {
  const rows = rowsOf(
    shape,
    new Map([
      ['gateway', [sample()]],
      ['undici', [sample({ cpuSecondsPer1000: 0.05, otherCoreBusy: 0.9 })]],
    ]),
  )
  expect(rows[1]).toMatchObject({ judged_by: 'cpu', ratio: { median: 0.5 }, ratio_throughput: { median: 1 } })
})

test('CPU per request judges when strangers took a share of the core under test', () => {
  const rows = rowsOf(
    shape,
    new Map([
      ['gateway', [sample({ strangersShare: 0.2 })]],
      ['undici', [sample()]],
    ]),
  )
  expect(rows[1]?.judged_by).toBe('cpu')
})

test('counts are added up over the rounds, and sum to what was sent', () => {
  const rounds = [
    sample({ answered: 90, refused: { 429: 6 }, failed: { read: 4 } }),
    sample({ answered: 98, refused: { 429: 1, 503: 1 } }),
  ]
  const [row] = rowsOf(shape, new Map([['gateway', rounds]]))
  expect(row).toMatchObject({ sent: 200, answered: 188, refused: 8, failed: 4, refused_by_code: { 429: 7, 503: 1 } })
})

test('added latency is the median of the differences within each round', () => {
  const at = (p50: number, p99: number) => sample({ latencyMs: { p50, p99, p999: p99 } })
  const added = addedLatency(
    new Map([
      ['gateway', [at(2, 5), at(3, 9), at(9, 30)]],
      ['undici', [at(1.5, 3), at(2, 4), at(2, 4)]],
    ]),
  )
  expect(added.p50).toEqual({ median: 1, min: 0.5, max: 7 })
  expect(added.p99.median).toBe(5)
})

test('only what was measured is judged, and a bar is met or missed', () => {
  const rows = rowsOf(
    { ...shape, name: 'health' },
    new Map([
      ['gateway', [sample()]],
      ['node-http', [sample({ answered: 200, sent: 200 })]],
    ]),
  )
  const added = { median: 0.4, min: 0.4, max: 0.4 }
  const late = { median: 5, min: 5, max: 5 }
  expect(verdicts(rows, { p50: added, p99: late }).map(({ name, met }) => [name, met])).toEqual([
    ['health against bare node:http', false],
    ['added latency p50 at 1,000 req/s', true],
    ['added latency p99 at 1,000 req/s', false],
  ])
})

test('a table lines figures up on the right and words on the left', () => {
  expect(
    table(
      ['name', 'n'],
      [
        ['a', '10'],
        ['bcdefg', '9'],
      ],
    ),
  ).toBe('name     n\n------  --\na       10\nbcdefg   9')
})
