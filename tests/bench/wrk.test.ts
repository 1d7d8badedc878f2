import { expect, test } from 'vitest'
import { parseWrk } from '../../bench/wrk.ts'

const output = (result: object) =>
  `Running 4s test @ http://127.0.0.1:1\n  1 threads\n\nRESULT ${JSON.stringify(result)}\n`
const result = {
  sent: 1032,
  answered: 990,
  refused: [{ 429: 4, 503: 3 }, { 429: 1 }],
  duration_us: 4_000_000,
  failed: { connect: 0, read: 2, write: 0, timeout: 0, incomplete: 0 },
  latency_us: { p50: 1500, p99: 20_000, p999: 31_000 },
}

test('every request has one outcome, or was under way when time was up', () => {
  const load = parseWrk(output(result), 32)
  expect(load).toEqual({
    seconds: 4,
    sent: 1000,
    answered: 990,
    refused: { 429: 5, 503: 3 },
    failed: { read: 2 },
    unfinished: 32,
    latencyMs: { p50: 1.5, p99: 20, p999: 31 },
  })
})

test('more requests without an outcome than connections are not believed', () => {
  expect(() => parseWrk(output({ ...result, sent: 1033 }), 32)).toThrow('sent 1033 requests and saw 1000 outcomes')
})

test('outcomes without a request are not believed', () => {
  const failed = { ...result.failed, read: 0 }
  expect(() => parseWrk(output({ ...result, failed, sent: 990 }), 32)).toThrow('saw 998 outcomes')
})

test('a wrk that printed no result says what it printed instead', () => {
  expect(() => parseWrk('unable to connect to 127.0.0.1', 32)).toThrow('unable to connect')
})
