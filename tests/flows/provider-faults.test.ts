import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Fault } from '../../adapters/sandbox/sandbox.ts'
import { eventually, readSse, startTestGateway, type TestGateway, words } from '../support/gateway.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await startTestGateway({
    env: {
      CIRCUIT_BREAKER_TIMEOUT: '100ms',
      CIRCUIT_BREAKER_MIN_REQUESTS: '4',
      REQUEST_TIMEOUT: '2s',
      HEADERS_TIMEOUT: '300ms',
      CONNECT_TIMEOUT: '200ms',
    },
  })
})
/** Every test ends with this: slots, sockets and requests are back to nothing. */
afterEach(async () => {
  await eventually(
    () => gateway.metric('http_requests_in_flight'),
    (n) => n === 0,
  )
  expect(await gateway.metric('upstream_requests_in_flight', { upstream: 'openai' })).toBe(0)
  expect(await gateway.metric('admission_queue_depth')).toBe(0)
  expect(await gateway.metric('streams_in_flight')).toBe(0)
  await gateway.stop()
  await eventually(
    () => gateway.sandbox.openai.openConnections(),
    (n) => n === 0,
  )
  await gateway.close()
})

const path = '/v1/chat/completions'
const ask = (extra: object = {}) =>
  gateway.post(path, { model: 'gpt-4o', messages: [{ role: 'user', content: 'hi' }], max_tokens: 10, ...extra })
const errorOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string; message: string } }).error

interface Row {
  fault: Fault
  status: number
  code: string
  /** Where a stream has a code of its own. */
  streamCode?: string
  retryAfter: boolean
  /** Calls that the provider saw. */
  tries: number
  /** Where they are others for a stream. */
  streamTries?: number
  /** In a stream it shows only after the answer has begun. */
  wholeOnly?: boolean
}

const failing: Row[] = [
  { fault: { kind: 'status', status: 500 }, status: 503, code: 'upstream_unavailable', retryAfter: true, tries: 2 },
  { fault: { kind: 'status', status: 503 }, status: 503, code: 'upstream_unavailable', retryAfter: true, tries: 3 },
  { fault: { kind: 'html_502' }, status: 503, code: 'upstream_unavailable', retryAfter: true, tries: 3 },
  { fault: { kind: 'reset' }, status: 503, code: 'upstream_unavailable', retryAfter: true, tries: 3 },
  {
    fault: { kind: 'status', status: 429, retryAfter: 60 },
    status: 429,
    code: 'upstream_throttled',
    retryAfter: true,
    tries: 1,
  },
  {
    fault: { kind: 'status', status: 429, code: 'insufficient_quota' },
    status: 502,
    code: 'upstream_credential',
    retryAfter: false,
    tries: 1,
  },
  { fault: { kind: 'status', status: 401 }, status: 502, code: 'upstream_credential', retryAfter: false, tries: 1 },
  { fault: { kind: 'status', status: 403 }, status: 502, code: 'upstream_credential', retryAfter: false, tries: 1 },
  { fault: { kind: 'not_json' }, status: 502, code: 'upstream_invalid', retryAfter: false, tries: 3 },
  { fault: { kind: 'empty_204' }, status: 502, code: 'upstream_invalid', retryAfter: false, tries: 3 },
  { fault: { kind: 'error_200' }, status: 503, code: 'upstream_unavailable', retryAfter: true, tries: 3 },
  {
    fault: { kind: 'short_length' },
    status: 502,
    code: 'upstream_invalid',
    retryAfter: false,
    tries: 3,
    wholeOnly: true,
  },
  { fault: { kind: 'gzip_flag_without_gzip' }, status: 502, code: 'upstream_invalid', retryAfter: false, tries: 3 },
  {
    fault: { kind: 'gzip_bomb', decodedBytes: 200 << 20 },
    status: 502,
    code: 'upstream_invalid',
    retryAfter: false,
    tries: 1,
    // Packed, which no stream may be: it is not read at all.
    streamTries: 3,
  },
  { fault: { kind: 'huge_body', bytes: 40 << 20 }, status: 502, code: 'upstream_invalid', retryAfter: false, tries: 1 },
  {
    fault: { kind: 'big_headers', bytes: 1 << 20 },
    status: 502,
    code: 'upstream_invalid',
    retryAfter: false,
    tries: 3,
  },
  {
    fault: { kind: 'hang' },
    status: 504,
    code: 'upstream_timeout',
    streamCode: 'headers_timeout',
    retryAfter: false,
    tries: 1,
  },
]

describe.each([
  { how: 'whole', stream: false },
  { how: 'streamed', stream: true },
])('a provider that fails, asked for a $how answer', ({ stream }) => {
  test.each(failing.filter((row) => !(stream && row.wholeOnly)))(
    '$fault.kind $fault.status -> $status $code after $tries tries',
    async (row) => {
      // A stream is bounded by its headers' own time, the whole answer by the request's.
      gateway.sandbox.openai.setFaults([row.fault])
      const response = await ask({ stream })
      expect(await errorOf(response)).toMatchObject({ code: (stream && row.streamCode) || row.code })
      expect(response.status).toBe(row.status)
      expect(response.headers.has('retry-after')).toBe(row.retryAfter)
      expect(gateway.sandbox.openai.calls.length).toBe((stream && row.streamTries) || row.tries)
    },
  )

  test('a provider that is not there -> 503, without waiting', async () => {
    await gateway.sandbox.openai.goDown()
    const response = await ask({ stream })
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('1')
    expect(await errorOf(response)).toMatchObject({ code: 'upstream_unavailable' })
  })

  test.each(['reset', 'html_502', 'not_json', 'empty_204'] as const)(
    'one %s is made good by another try',
    async (kind) => {
      gateway.sandbox.openai.setFaults([{ kind, times: 1 }])
      const response = await ask({ stream })
      expect(response.status).toBe(200)
      expect(response.headers.get('x-gpuproxy-attempts')).toBe('2')
      await response.text()
    },
  )

  test('the caller’s own deadline -> 504, and no word against the provider', async () => {
    gateway.sandbox.openai.setFaults([{ kind: 'hang' }])
    const response = await gateway.post(
      path,
      { model: 'gpt-4o', messages: [{ role: 'user', content: 'hi' }], stream },
      { headers: { 'x-request-timeout-ms': '120' } },
    )
    expect(response.status).toBe(504)
    expect(await errorOf(response)).toMatchObject({ code: 'deadline_exceeded' })
    expect(await gateway.metric('circuit_breaker_calls_total', { outcome: 'failure' })).toBeUndefined()
  })

  test('the time that an SDK gives binds the beginning of the answer, and 0 is its word for less than a second', async () => {
    const body = { model: 'gpt-4o', messages: [{ role: 'user', content: 'hi' }], stream }
    const under = (seconds: string) => gateway.post(path, body, { headers: { 'x-stainless-timeout': seconds } })
    expect((await under('0')).status).toBe(200)
    gateway.sandbox.openai.setFaults([{ kind: 'hang' }])
    const late = await under('0.12')
    expect([late.status, (await errorOf(late)).code]).toEqual([504, 'deadline_exceeded'])
  })
})

test('a provider’s own 400, 404, 413 and 422 reach the caller as they are', async () => {
  for (const status of [400, 404, 413, 422]) {
    gateway.sandbox.openai.setFaults([
      {
        kind: 'status',
        status,
        body: { error: { message: 'yours', type: 'invalid_request_error', param: null, code: 'theirs' } },
      },
    ])
    const response = await ask()
    expect(response.status).toBe(status)
    expect(await errorOf(response)).toMatchObject({ message: 'yours', code: 'theirs' })
  }
})

test('the breaker opens, refuses without calling, and closes again by itself', async () => {
  gateway.sandbox.openai.setFaults([{ kind: 'status', status: 503 }])
  await eventually(
    async () => {
      await (await ask()).text()
      return gateway.metric('circuit_breaker_state', { name: 'openai:other' })
    },
    (state) => state === 2,
  )
  // On a slow machine it is time for a trial call by now: then the next one.
  const refused = await eventually(
    async () => {
      const before = gateway.sandbox.openai.calls.length
      const answer = await ask()
      return { answer, error: await errorOf(answer), calls: gateway.sandbox.openai.calls.length - before }
    },
    ({ error }) => error.code === 'circuit_open',
  )
  expect([refused.answer.status, refused.answer.headers.get('retry-after'), refused.calls]).toEqual([503, '1', 0])
  expect(await (await gateway.get('/health')).json()).toMatchObject({
    status: 'degraded',
    checks: { openai: { status: 'degraded' } },
  })

  gateway.sandbox.openai.setFaults([])
  await eventually(
    async () => {
      await (await ask()).text()
      return gateway.metric('circuit_breaker_state', { name: 'openai:other' })
    },
    (state) => state === 0,
  )
  expect(
    await gateway.metric('circuit_breaker_transitions_total', { name: 'openai:other', to: 'open' }),
  ).toBeGreaterThan(0)
  expect(await gateway.metric('circuit_breaker_transitions_total', { name: 'openai:other', to: 'closed' })).toBe(1)
})

test('a broken model does not take its provider with it', async () => {
  gateway.sandbox.openai.setFaults([{ kind: 'status', status: 503, match: { model: 'broken' } }])
  await eventually(
    async () => errorOf(await ask({ model: 'broken' })),
    ({ code }) => code === 'circuit_open',
  )
  const other = await ask({ model: 'gpt-4o' })
  expect(other.status).toBe(200)
  await other.text()
})

describe('a stream that goes wrong after it has begun', () => {
  test.each([
    { kind: 'cut', afterTokens: 5 },
    { kind: 'clean_cut', afterTokens: 5 },
  ] as Fault[])('$kind: what came, then an error event, and no [DONE]', async (fault) => {
    gateway.sandbox.openai.setFaults([fault])
    const answer = await readSse(await ask({ stream: true }))
    expect(words(10).startsWith(answer.text)).toBe(true)
    expect(answer.error).toMatchObject({ code: 'stream_interrupted' })
    expect(answer.done).toBe(false)
    expect(await gateway.metric('stream_interrupted_total', { provider: 'openai', rescued: 'no' })).toBe(3)
  })

  test.each([
    { kind: 'cut', afterTokens: 5, times: 1 },
    { kind: 'clean_cut', afterTokens: 5, times: 1 },
  ] as Fault[])('$kind once: the same provider says it again, and the answer is whole', async (fault) => {
    gateway.sandbox.openai.setFaults([fault])
    const answer = await readSse(await ask({ stream: true }))
    expect(answer).toMatchObject({ text: words(10), done: true, error: undefined })
    expect(await gateway.metric('stream_interrupted_total', { provider: 'openai', rescued: 'restart' })).toBe(1)
  })

  test('a malformed event is skipped and counted, and every other word arrives', async () => {
    gateway.sandbox.openai.setFaults([{ kind: 'malformed_event', atToken: 5 }])
    const answer = await readSse(await ask({ stream: true }))
    expect(answer.done).toBe(true)
    expect(answer.error).toBeUndefined()
    expect(await gateway.metric('stream_malformed_events_total')).toBe(1)
  })

  test('a missing [DONE] is made good', async () => {
    gateway.sandbox.openai.setFaults([{ kind: 'no_done' }])
    const answer = await readSse(await ask({ stream: true }))
    expect(answer).toMatchObject({ text: words(10), done: true })
  })

  test('a slow reader slows the provider instead of filling the gateway', async () => {
    const response = await ask({ stream: true, max_tokens: 100_000 })
    const reader = response.body!.getReader()
    await reader.read()
    const before = process.memoryUsage().arrayBuffers
    // Nobody reads; the provider has long been ready to send all of it.
    for (let i = 0; i < 2_000; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 << 20)
    await reader.cancel()
    const call = gateway.sandbox.openai.calls.at(-1)!
    await eventually(() => call.closedAt)
  })
})

test('health tells of a provider that refuses the credential, though no circuit opens', async () => {
  gateway.sandbox.openai.setFaults([{ kind: 'status', status: 401 }])
  expect((await ask()).status).toBe(502)
  expect(await (await gateway.get('/health')).json()).toMatchObject({
    status: 'degraded',
    checks: { openai: { status: 'degraded', reason: "It refuses the gateway's credential." } },
  })
})

test('no credential of the gateway and none of the caller gets where it does not belong', async () => {
  const whole = await ask()
  const seen = JSON.stringify(gateway.sandbox.openai.calls.map(({ headers }) => headers))
  expect(seen).toContain('canary-openai')
  expect(seen).not.toContain('ak_live_')
  const said =
    (await whole.text()) +
    JSON.stringify([...whole.headers]) +
    JSON.stringify(gateway.log) +
    (await gateway.metricsText())
  expect(said).not.toMatch(/canary|ak_live_/)
})
