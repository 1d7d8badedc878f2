import { expect, test } from 'vitest'
import { sum } from '../../../bench/capacity/live-pod.ts'
import { plot } from '../../../bench/capacity/plot.ts'
import { createScrapes, type Scraped } from '../../../bench/capacity/scrapes.ts'

test('every series of a name is added up, and none of a longer name', () => {
  const page = [
    '# TYPE http_requests_total counter',
    'http_requests_total{method="GET",route="/readyz",status="200"} 7',
    'http_requests_total{method="POST",route="/v1/chat/completions",status="200"} 5',
    'http_requests_total{method="POST",route="/v1/chat/completions",status="503"} 2e1',
    'http_requests_total_of_others 1000',
    'streams_in_flight 3',
  ].join('\n')
  expect(sum(page, 'http_requests_total')).toBe(32)
  expect(sum(page, 'http_requests_total', (labels) => !labels.includes('/readyz'))).toBe(25)
  expect(sum(page, 'streams_in_flight')).toBe(3)
})

const at = (seconds: number, requests: number): Scraped => ({
  atMs: seconds * 1_000,
  cpuMs: 100 * seconds,
  requests,
  streams: seconds,
  bytes: 1,
})

test('a pod that was read once has no rate; one read twice has that between them', () => {
  const scrapes = createScrapes({ everyMs: 15_000, rateMs: 60_000 })
  expect(scrapes.samples().streams_in_flight).toBeUndefined()
  scrapes.add(at(15, 0))
  expect(scrapes.samples()).toMatchObject({ cpu: undefined, streams_in_flight: { value: 15 } })
  scrapes.add(at(30.2, 152))
  const { cpu, http_requests_per_second: rate } = scrapes.samples()
  expect([cpu?.value, rate?.value]).toEqual([expect.closeTo(0.1), expect.closeTo(10)])
})

test('a rate is over its minute, CPU over the last time between two looks', () => {
  const scrapes = createScrapes({ everyMs: 15_000, rateMs: 60_000 })
  for (let seconds = 0; seconds <= 150; seconds += 15) scrapes.add(at(seconds, seconds > 135 ? 600 : 0))
  const { cpu, http_requests_per_second: rate } = scrapes.samples()
  expect([cpu?.windowMs, rate?.windowMs, rate?.value]).toEqual([15_000, 60_000, 10])
})

test('a plot has a line for each policy, which stays level until its number changes', () => {
  const svg = plot([
    {
      name: 'cpu',
      points: [
        { t: 0, n: 0 },
        { t: 60, n: 10 },
      ],
    },
    {
      name: 'streams',
      points: [
        { t: 0, n: 5 },
        { t: 60, n: 5 },
      ],
    },
  ])
  expect(svg.match(/<polyline/g)).toHaveLength(2)
  expect(svg).toContain('points="40.0,330.0 770.0,330.0 770.0,16.0"')
  expect(svg).toContain('>streams</text>')
})
