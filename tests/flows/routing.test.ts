/** The routing table through the HTTP front: who is asked, who answers, and what is said of it. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Fault } from '../../adapters/sandbox/sandbox.ts'
import { eventually, readSse, startTestGateway, type TestGateway, words } from '../support/gateway.ts'

let gateway: TestGateway
beforeEach(async () => {
  gateway = await startTestGateway({
    env: { FIRST_TOKEN_TIMEOUT: '300ms', HEADERS_TIMEOUT: '300ms', STREAM_IDLE_TIMEOUT: '300ms' },
    routing: ({ openai: { baseUrl } }) => ({
      providers: {
        first: { kind: 'openai', base_url: baseUrl, api_keys: ['canary-key-one', 'canary-key-two'] },
        second: { kind: 'openai', base_url: baseUrl, headers: { 'x-team': 'second' } },
      },
      models: {
        main: {
          targets: [
            { provider: 'first', model: 'primary', context_window: 1_000 },
            { provider: 'second', model: 'backup', context_window: 10_000 },
          ],
        },
        lonely: { targets: [{ provider: 'first', model: 'alone' }] },
        golden: { targets: [{ provider: 'first', model: 'gold', when: { tier: 'gold' } }] },
      },
    }),
  })
})
afterEach(() => gateway.close())

const ask = (body: object = {}, headers: Record<string, string> = {}) =>
  gateway.post(
    '/v1/chat/completions',
    { model: 'main', messages: [{ role: 'user', content: 'hi' }], max_tokens: 10, ...body },
    { headers },
  )
const broken = (model: string, fault: object = { kind: 'status', status: 503 }) =>
  ({ match: { model }, ...fault }) as Fault
const asked = () => gateway.sandbox.openai.calls.map(({ model }) => model)
const errorOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string; message: string } }).error

describe.each([{ stream: false }, { stream: true }])('a model with two targets (stream: $stream)', ({ stream }) => {
  test.each([
    { kind: 'status', status: 503 },
    { kind: 'status', status: 500 },
    { kind: 'status', status: 429 },
    { kind: 'status', status: 401 },
    { kind: 'status', status: 429, code: 'insufficient_quota' },
    { kind: 'reset' },
    { kind: 'not_json' },
    { kind: 'error_200' },
  ])('is served by the second where the first says $kind $status $code', async (fault) => {
    gateway.sandbox.openai.setFaults([broken('primary', fault)])
    const response = await ask({ stream })
    expect(response.status).toBe(200)
    expect(response.headers.get('x-gpuproxy-provider')).toBe('second')
    expect(response.headers.get('x-gpuproxy-model')).toBe('backup')
    expect(await response.text()).toContain('"model":"backup"')
    expect(asked().at(-1)).toBe('backup')
    expect(asked().length).toBeLessThanOrEqual(3)
    expect(Number(response.headers.get('x-gpuproxy-attempts'))).toBe(asked().length)
  })

  test('leads a prompt that is too long to the one with more room, and tells the caller where none has', async () => {
    const tooLong = { kind: 'status', status: 400, code: 'context_length_exceeded' }
    gateway.sandbox.openai.setFaults([broken('primary', tooLong)])
    expect((await ask({ stream })).headers.get('x-gpuproxy-model')).toBe('backup')
    expect(asked()).toEqual(['primary', 'backup'])
    gateway.sandbox.openai.setFaults([broken('primary', tooLong), broken('backup', tooLong)])
    const response = await ask({ stream })
    expect(response.status).toBe(400)
    expect(await errorOf(response)).toMatchObject({ code: 'context_length_exceeded' })
  })

  test('leads a request for a model that the first does not serve (any more) to the other, and tells of it where none does', async () => {
    const gone = { kind: 'status', status: 404, code: 'model_not_found' }
    gateway.sandbox.openai.setFaults([broken('primary', gone)])
    expect((await ask({ stream })).headers.get('x-gpuproxy-model')).toBe('backup')
    expect(asked()).toEqual(['primary', 'backup'])
    gateway.sandbox.openai.setFaults([broken('primary', gone), broken('backup', gone)])
    const response = await ask({ stream })
    expect(response.status).toBe(404)
    expect(await errorOf(response)).toMatchObject({ code: 'model_not_found' })
    gateway.sandbox.openai.setFaults([broken('primary'), broken('backup', gone)])
    expect((await ask({ stream })).status).toBe(503)
  })

  test('does not lead a request that the first refuses to another', async () => {
    gateway.sandbox.openai.setFaults([
      broken('primary', { kind: 'status', status: 400, code: 'content_policy_violation' }),
    ])
    const response = await ask({ stream })
    expect(response.status).toBe(400)
    expect(await errorOf(response)).toMatchObject({ code: 'content_policy_violation' })
    expect(asked()).toEqual(['primary'])
  })
})

describe('the caller’s own error as the first event of a stream', () => {
  const said = (code: string, status = 400) => ({ kind: 'error_200', status, code })

  test('too long a prompt: to the one with more room, else told as a 400', async () => {
    const code = 'context_length_exceeded'
    gateway.sandbox.openai.setFaults([broken('primary', said(code))])
    expect((await ask({ stream: true })).headers.get('x-gpuproxy-model')).toBe('backup')
    gateway.sandbox.openai.setFaults([broken('primary', said(code)), broken('backup', said(code))])
    const response = await ask({ stream: true })
    expect(response.status).toBe(400)
    expect(await errorOf(response)).toMatchObject({ code })
  })

  test('anything else: told at once, and no word against the provider', async () => {
    gateway.sandbox.openai.setFaults([broken('primary', { kind: 'error_200', status: 400 })])
    for (let i = 0; i < 8; i++) {
      const response = await ask({ stream: true })
      expect(response.status).toBe(400)
      expect(await errorOf(response)).toMatchObject({ type: 'invalid_request_error' })
    }
    expect(asked()).toEqual(Array(8).fill('primary'))
    expect(await gateway.metric('circuit_breaker_calls_total', { outcome: 'failure' })).toBeUndefined()
  })

  test('the operator’s fault that looks like one: to the other', async () => {
    gateway.sandbox.openai.setFaults([broken('primary', said('model_not_found', 404))])
    expect((await ask({ stream: true })).headers.get('x-gpuproxy-model')).toBe('backup')
  })
})

test('a stream that is silent before its first word is answered by the other, and asked once', async () => {
  gateway.sandbox.openai.setFaults([broken('primary', { kind: 'slow_first_token', ms: 60_000 })])
  expect(await readSse(await ask({ stream: true }))).toMatchObject({ text: words(10), done: true })
  expect(asked()).toEqual(['primary', 'backup'])
})

describe('a provider that answers nobody any more', () => {
  let patient: TestGateway
  beforeEach(async () => {
    patient = await startTestGateway({
      env: { RATE_LIMIT_PER_MINUTE: '1000000' },
      routing: ({ openai: { baseUrl } }) => ({
        providers: {
          first: { kind: 'openai', base_url: baseUrl },
          second: { kind: 'openai', base_url: baseUrl },
        },
        models: {
          main: {
            targets: [
              { provider: 'first', model: 'primary' },
              { provider: 'second', model: 'backup' },
            ],
          },
        },
      }),
    })
  })
  afterEach(() => patient.close())

  test('is asked last, long before those who wait for it give up, until it answers', async () => {
    const body = { model: 'main', messages: [{ role: 'user', content: 'hi' }], max_tokens: 10 }
    const send = (more: object = {}, init: RequestInit = {}) =>
      patient.post('/v1/chat/completions', { ...body, ...more }, init)
    const leaving = new AbortController()
    const first = async () => {
      const response = await patient.post('/api/v1/route/explain', body)
      return ((await response.json()) as { plan: { provider: string; reason: string }[] }).plan[0]!
    }
    expect((await send()).headers.get('x-gpuproxy-provider')).toBe('first')
    patient.sandbox.openai.setFaults([broken('primary', { kind: 'slow_first_token', ms: 60_000 })])
    const waiting = [false, true].flatMap((stream) =>
      Array.from({ length: 6 }, () => send({ stream }, { signal: leaving.signal }).catch(() => undefined)),
    )
    await eventually(first, ({ provider }) => provider === 'second')
    expect(await patient.metric('circuit_silent_seconds', { name: 'first:primary' })).toBeGreaterThan(1)
    for (const stream of [false, true]) {
      const response = await send({ stream })
      expect(response.headers.get('x-gpuproxy-provider')).toBe('second')
      expect(await response.text()).toContain('"model":"backup"')
    }
    expect(patient.sandbox.openai.calls.filter(({ model }) => model === 'primary')).toHaveLength(13)
    leaving.abort()
    await Promise.all(waiting)
    await eventually(first, ({ provider }) => provider === 'first')
  })
})

test.each([
  { kind: 'cut', afterTokens: 4 },
  { kind: 'clean_cut', afterTokens: 4 },
  { kind: 'stall', afterTokens: 4, ms: 60_000 },
])('a stream that goes wrong ($kind) after some words is gone on with by the other', async (fault) => {
  gateway.sandbox.openai.setFaults([broken('primary', fault)])
  const answer = await readSse(await ask({ stream: true, stream_options: { include_usage: true } }))
  expect(answer).toMatchObject({ text: words(10), done: true, error: undefined })
  expect(asked()).toEqual(['primary', 'backup'])
  expect(await gateway.metric('stream_interrupted_total', { provider: 'first', rescued: 'restart' })).toBe(1)
  expect(gateway.log.find(({ message }) => message === 'request')).toMatchObject({
    rescued: 'restart',
    provider: 'second',
    attempts: 2,
  })
})

test('the caller’s own fallbacks come after the model’s targets, and are not sent on', async () => {
  gateway.sandbox.openai.setFaults([broken('alone')])
  const response = await ask({ model: 'lonely', fallbacks: ['main'], metadata: { a: 'b' } })
  expect(response.headers.get('x-gpuproxy-model')).toBe('primary')
  const sent = gateway.sandbox.openai.calls.at(-1)!.body as object
  expect(sent).not.toHaveProperty('fallbacks')
  expect(sent).toMatchObject({ model: 'primary', metadata: { a: 'b' } })
})

test('models stands in for model and fallbacks', async () => {
  gateway.sandbox.openai.setFaults([broken('alone')])
  const response = await ask({ model: undefined, models: ['lonely', 'main'] })
  expect(response.headers.get('x-gpuproxy-model')).toBe('primary')
  expect(gateway.sandbox.openai.calls.at(-1)!.body).not.toHaveProperty('models')
})

test('a model that no row names is a 404, and so is one whose conditions are not met', async () => {
  const unknown = await ask({ model: 'nobody' })
  expect(unknown.status).toBe(404)
  expect(await errorOf(unknown)).toMatchObject({ code: 'model_not_found' })
  const unmet = await ask({ model: 'golden' })
  expect(unmet.status).toBe(404)
  expect((await errorOf(unmet)).message).toMatch(/tier/)
  expect((await ask({ model: 'golden', metadata: { tier: 'gold' } })).headers.get('x-gpuproxy-model')).toBe('gold')
})

test('a rejected key is taken out, the next one is used at once, and the caller never hears of it', async () => {
  gateway.sandbox.openai.setFaults([{ kind: 'status', status: 401, times: 1 }])
  expect((await ask()).headers.get('x-gpuproxy-provider')).toBe('first')
  expect((await ask()).headers.get('x-gpuproxy-provider')).toBe('first')
  const keys = gateway.sandbox.openai.calls.map(({ headers }) => headers.authorization)
  expect(keys).toEqual(['Bearer canary-key-one', 'Bearer canary-key-two', 'Bearer canary-key-two'])
  const alert = gateway.log.find(({ level }) => level === 'error')
  expect(alert).toMatchObject({ provider: 'first', detail: 'key 1 of 2' })
  expect(JSON.stringify(gateway.log)).not.toContain('canary')
  expect(await gateway.metric('upstream_credential_rejected_total', { upstream: 'first' })).toBe(1)
})

test('a provider that refuses every key is told of, while it is not asked', async () => {
  gateway.sandbox.openai.setFaults([{ kind: 'status', status: 401, times: 2 }])
  expect((await ask()).headers.get('x-gpuproxy-provider')).toBe('second')
  const explained = await gateway.post('/api/v1/route/explain', { model: 'main', messages: [] })
  expect(await explained.json()).toMatchObject({
    plan: [
      { use: false, reason: "priority 0 for main; skipped: it refuses the gateway's credential." },
      { provider: 'second', use: true },
    ],
  })
  expect((await ask()).headers.get('x-gpuproxy-provider')).toBe('second')
  expect(asked()).toEqual(['primary', 'primary', 'backup', 'backup'])
})

test('a gateway that tries again by itself gets one try of each target', async () => {
  gateway.sandbox.openai.setFaults([broken('primary')])
  await (await ask({}, { 'x-gpuproxy-attempt': '2' })).text()
  expect(asked()).toEqual(['primary', 'backup'])
  expect(gateway.sandbox.openai.calls[1]!.headers).toMatchObject({ 'x-gpuproxy-attempt': '2', 'x-team': 'second' })
  expect(gateway.sandbox.openai.calls[0]!.headers).not.toHaveProperty('x-gpuproxy-attempt')
})

test('an error that was tried again already says so', async () => {
  gateway.sandbox.openai.setFaults([{ kind: 'status', status: 502 }])
  const response = await ask()
  expect(response.status).toBe(503)
  expect(response.headers.get('x-should-retry')).toBe('false')
})

test('each row’s circuit has a name of its own from the first scrape', async () => {
  expect(await gateway.metric('circuit_breaker_state', { name: 'first:primary' })).toBe(0)
  expect(await gateway.metric('circuit_breaker_state', { name: 'second:backup' })).toBe(0)
})

test('explain tells the plan, also for circuits that are assumed to be open, and sends nothing', async () => {
  const body = { model: 'main', messages: [], fallbacks: ['lonely'] }
  const plan = async (more: object) => {
    const response = await gateway.post('/api/v1/route/explain', { ...body, ...more })
    expect(response.status).toBe(200)
    return ((await response.json()) as { plan: { provider: string; model: string; use: boolean; reason: string }[] })
      .plan
  }
  expect(await plan({})).toMatchObject([
    { provider: 'first', model: 'primary', use: true },
    { provider: 'second', model: 'backup', use: true },
    { provider: 'first', model: 'alone', use: true },
  ])
  const [first] = await plan({ assume: { open: ['first:primary'] } })
  expect(first).toMatchObject({ use: false, reason: expect.stringMatching(/open/) })
  const bad = await gateway.post('/api/v1/route/explain', { ...body, assume: { shut: [] } })
  expect(bad.status).toBe(400)
  expect(gateway.sandbox.openai.calls).toHaveLength(0)
})

test('the list of models holds the rows’ names', async () => {
  const { data } = (await (await gateway.get('/v1/models')).json()) as { data: { id: string }[] }
  expect(data.map(({ id }) => id)).toEqual(['main', 'lonely', 'golden'])
  expect((await gateway.get('/v1/models/lonely')).status).toBe(200)
  expect((await gateway.get('/v1/models/gpt-4o')).status).toBe(404)
})
