import { describe, expect, test } from 'vitest'
import * as z from 'zod'
import { filterFields, filterOf, filters, queryFields } from './offer-filters.ts'
import { parseOr400 } from './parse.ts'

const asked = {
  provider: 'Vast.ai',
  gpu_model: 'RTX 4090',
  gpu_count: 2,
  min_gpu_frac: 0.5,
  min_vram: 24,
  max_price: 1.25,
  location: 'US',
  min_reliability: 0.95,
  min_cuda: 12.4,
  min_inet_down: 500,
  min_inet_up: 100.5,
  verified: false,
  disk_gb: 80,
  egress_gb_per_hour: 0.5,
  interruptible: true,
}
const query = z.strictObject(queryFields)
const inQuery = (given: object) =>
  Object.fromEntries(Object.entries(given).map(([name, value]) => [name, String(value)]))

test('a query and a body that say the same are the same filter, of everything that there is', () => {
  const filter = parseOr400(filters, asked)
  expect(filterOf(parseOr400(query, inQuery(asked), 'invalid_query'))).toEqual(filter)
  expect(Object.keys(asked).sort()).toEqual(Object.keys(filterFields).sort())
  expect(filter).toEqual({
    ...{ market: 'vastai', gpuModel: 'RTX 4090', gpuCount: 2, minGpuFraction: 0.5, minVramGb: 24 },
    ...{ maxPriceMicroUsd: 1_250_000, location: 'US', minReliability: 0.95, minCuda: 12.4 },
    ...{ minInetDown: 500, minInetUp: 100.5, verified: false, diskGb: 80, egressGbPerHour: 0.5, interruptible: true },
  })
})

describe('a bad value is a 400 that names it', () => {
  test.each<[keyof typeof asked, unknown]>([
    ['provider', 'ec2'],
    ['gpu_model', ''],
    ['gpu_count', 0],
    ['gpu_count', 1.5],
    ['min_gpu_frac', 1.1],
    ['min_vram', -1],
    ['min_vram', 0],
    ['max_price', -0.01],
    ['location', ''],
    ['min_reliability', 95],
    ['min_reliability', -0.1],
    ['min_cuda', -12],
    ['min_inet_down', -1],
    ['min_inet_up', 1e12],
    ['verified', 'perhaps'],
    ['verified', 1],
    ['disk_gb', 7],
    ['disk_gb', 20_000],
    ['egress_gb_per_hour', -1],
    ['interruptible', 'yes'],
  ])('%s: %j', (name, value) => {
    const refusal = expect.objectContaining({ status: 400, options: expect.objectContaining({ param: name }) })
    expect(() => parseOr400(filters, { [name]: value })).toThrow(refusal)
    expect(() => parseOr400(query, { [name]: String(value) }, 'invalid_query')).toThrow(refusal)
  })

  test.each(['', ' ', 'cheap', '1e999', '0x10', '1,5', 'NaN', 'Infinity', '--1'])('a number in a query: %j', (text) => {
    expect(() => parseOr400(query, { max_price: text }, 'invalid_query')).toThrow(/^max_price: /)
  })

  test('a text is no number in a body', () => {
    expect(() => parseOr400(filters, { min_vram: '24' })).toThrow(/^min_vram: /)
    expect(() => parseOr400(filters, { verified: 'true' })).toThrow(/^verified: /)
  })
})
