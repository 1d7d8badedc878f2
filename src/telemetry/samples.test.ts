import { describe, expect, test } from 'vitest'
import { createMetrics } from '../../adapters/node/metrics.ts'
import { instruments } from './instruments.ts'
import { quantileBetween, readSamples } from './samples.ts'

test('reads back what the page of metrics says, with labels that hold anything', async () => {
  const metrics = createMetrics()
  metrics.count(instruments.httpRequests, { method: 'GET', route: 'a "b" \\ c\nd', status: '200' }, 3)
  metrics.count(instruments.httpRequests, { method: 'GET', route: '/x', status: '500' })
  metrics.observe(instruments.httpDuration, { method: 'GET', route: '/x' }, 0.004)
  metrics.gauge(instruments.redisUp, () => [[{}, 1]])
  const samples = readSamples((await metrics.render()).text)
  expect(samples.sum('http_requests_total')).toBe(4)
  expect(samples.sum('http_requests_total', { status: '500' })).toBe(1)
  expect([...samples.by('http_requests_total', 'route')]).toEqual([
    ['a "b" \\ c\nd', 3],
    ['/x', 1],
  ])
  expect(samples.sum('redis_up')).toBe(1)
  expect(samples.sum('no_such_metric')).toBe(0)
  const buckets = samples.buckets('http_request_duration_seconds')
  expect(buckets.find(([bound]) => bound === 0.0025)?.[1]).toBe(0)
  expect(buckets.find(([bound]) => bound === 0.005)?.[1]).toBe(1)
  expect(buckets.at(-1)).toEqual([Number.POSITIVE_INFINITY, 1])
})

describe('a quantile of what came between two looks', () => {
  const before: [number, number][] = [
    [0.1, 5],
    [0.5, 5],
    [Number.POSITIVE_INFINITY, 5],
  ]
  const after = (a: number, b: number, c: number): [number, number][] => [
    [0.1, 5 + a],
    [0.5, 5 + b],
    [Number.POSITIVE_INFINITY, 5 + c],
  ]
  test.each([
    ['nothing came', after(0, 0, 0), 0.5, undefined],
    ['all in the first bucket', after(10, 10, 10), 0.5, 0.05],
    ['half of them in the second', after(5, 10, 10), 0.75, 0.3],
    ['beyond the last bound: the last bound', after(0, 0, 10), 0.99, 0.5],
  ])('%s', (_, now, q, expected) => {
    const found = quantileBetween(before, now, q)
    if (expected === undefined) expect(found).toBeUndefined()
    else expect(found).toBeCloseTo(expected)
  })
  test('of a process that has started anew nothing is told', () => {
    expect(quantileBetween(after(9, 9, 9), before, 0.5)).toBeUndefined()
  })
})
