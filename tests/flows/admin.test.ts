import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/resilience/clock.ts'
import { eventually, readSse, startTestGateway, type TestGateway, testKey, words } from '../support/gateway.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await startTestGateway({
    env: { RETRY_INITIAL_BACKOFF: '1ms', CIRCUIT_BREAKER_MIN_REQUESTS: '4', STREAM_IDLE_TIMEOUT: '1s' },
  })
})
afterEach(() => gateway.close())

interface Breaker {
  name: string
  state: string
  failure_rate: number
  calls: number
  next_probe_at: string | null
  pods: { pod: string; state: string }[]
}

const put = (path: string, body: unknown, key = testKey) =>
  fetch(gateway.url + path, {
    method: 'PUT',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
const chat = (extra: object = {}) =>
  gateway.post('/v1/chat/completions', {
    model: 'gpt-4o',
    messages: [{ role: 'user', content: 'hi' }],
    max_tokens: 20,
    ...extra,
  })
const jsonOf = async (response: Response) => (await response.json()) as Record<string, unknown>
const breakers = async () => {
  const response = await gateway.get('/api/v1/admin/breakers')
  expect(response.status).toBe(200)
  return ((await response.json()) as { breakers: Breaker[] }).breakers
}
const breaker = async (name: string) => (await breakers()).find((found) => found.name === name)
const breakerPath = (name: string) => `/api/v1/admin/breakers/${encodeURIComponent(name)}`

describe('the breakers', () => {
  test('are listed from the start, closed', async () => {
    expect((await breakers()).map(({ name }) => name)).toEqual(
      expect.arrayContaining(['vastai:list', 'ionet:list', 'openai:other', 'billing']),
    )
    expect(await breaker('openai:other')).toEqual({
      name: 'openai:other',
      state: 'closed',
      failure_rate: 0,
      calls: 0,
      next_probe_at: null,
      pods: [{ pod: 'local', state: 'closed' }],
    })
  })

  test('tell that one is open and when it is tried next', async () => {
    gateway.sandbox.openai.setFaults([{ kind: 'reset', match: { method: 'POST' } }])
    await eventually(
      async () => {
        await chat()
        return breaker('openai:other')
      },
      (found) => found?.state === 'open',
    )
    const { failure_rate, calls, next_probe_at } = (await breaker('openai:other'))!
    expect(failure_rate).toBe(1)
    expect(calls).toBeGreaterThanOrEqual(4)
    expect(new Date(next_probe_at!).toISOString()).toBe(next_probe_at)
  })

  test('are forced open, closed, and left to themselves again, for all models and for those not asked yet', async () => {
    expect((await chat()).status).toBe(200)
    const forced = await put(breakerPath('openai:other'), { state: 'open' })
    expect(forced.status).toBe(200)
    expect(await jsonOf(forced)).toMatchObject({ name: 'openai:other', state: 'forced_open', next_probe_at: null })
    expect(await breaker('openai:other')).toMatchObject({ state: 'forced_open' })
    expect(await gateway.metric('circuit_breaker_state', { name: 'openai:other' })).toBe(2)
    const before = gateway.sandbox.openai.calls.length
    for (const model of ['gpt-4o', 'new-to-it']) expect((await chat({ model })).status).toBe(503)
    expect(gateway.sandbox.openai.calls.length).toBe(before)

    expect(await jsonOf(await put(breakerPath('openai:other'), { state: 'closed' }))).toMatchObject({
      state: 'forced_closed',
    })
    expect((await chat()).status).toBe(200)
    // A name may also come as it is.
    expect(await jsonOf(await put('/api/v1/admin/breakers/openai:other', { state: 'auto' }))).toMatchObject({
      state: 'closed',
    })
    expect(gateway.log.filter(({ message }) => message.includes('administrator'))).toMatchObject(
      ['open', 'closed', 'auto'].map((state) => ({
        level: 'warn',
        breaker: 'openai:other',
        state,
        key_id: '00000000-0000-7000-8000-000000000002',
      })),
    )
  })

  test.each([
    ['an unknown name', 'openai:nobody/knows%', { state: 'open' }, 404, 'unknown_breaker', /lists what there is/],
    ['an unknown state', 'openai:other', { state: 'ajar' }, 400, 'invalid_body', /state/],
    ['no state', 'openai:other', {}, 400, 'invalid_body', /state/],
    ['an unknown field', 'openai:other', { state: 'open', forever: 1 }, 400, 'invalid_body', /forever/],
  ])('refuse %s', async (_what, name, body, status, code, says) => {
    const response = await put(breakerPath(name), body)
    expect(response.status).toBe(status)
    const problem = await jsonOf(response)
    expect(problem).toMatchObject({ code, detail: expect.stringMatching(says) })
    expect((await breaker('openai:other'))?.state).toBe('closed')
  })
})

describe('the faults', () => {
  const fault = { target: 'openai', kind: 'cut', share: 1, seed: 7, expires_in: '10m' }
  const setFaults = async (...faults: object[]) => {
    const response = await put('/api/v1/admin/faults', { faults })
    expect(response.status).toBe(200)
    return (await jsonOf(response)).faults as Record<string, unknown>[]
  }

  test('are told with their end, replaced all together, and taken away', async () => {
    const inForce = await setFaults(
      fault,
      { ...fault, kind: '429', retry_after: 2, share: 0.1 },
      { ...fault, kind: 'slow', ms: 20, target: 'openai:gpt-4o', seed: undefined, expires_in: '30s' },
    )
    expect(inForce).toEqual([
      { target: 'openai', kind: 'cut', share: 1, seed: 7, expires_at: expect.any(String) },
      { target: 'openai', kind: '429', share: 0.1, seed: 7, retry_after: 2, expires_at: expect.any(String) },
      {
        target: 'openai:gpt-4o',
        kind: 'slow',
        share: 1,
        seed: expect.any(Number),
        ms: 20,
        expires_at: expect.any(String),
      },
    ])
    expect(Date.parse(inForce[0]!.expires_at as string)).toBeGreaterThan(Date.parse(inForce[2]!.expires_at as string))
    const listed = (await jsonOf(await gateway.get('/api/v1/admin/faults'))).faults as { kind: string }[]
    expect(listed.map(({ kind }) => kind)).toEqual(['cut', '429', 'slow'])
    expect(gateway.log.find(({ message }) => message === 'faults set by an administrator')).toMatchObject({
      level: 'warn',
      key_id: '00000000-0000-7000-8000-000000000002',
      detail: 'openai cut 1, openai 429 0.1, openai:gpt-4o slow 1',
    })
    expect(await setFaults()).toEqual([])
    expect((await chat()).status).toBe(200)
  })

  test('meet the gateway’s own defences: a reset is tried again, a 429 is passed on, a bad event is skipped', async () => {
    await setFaults({ ...fault, kind: 'reset' })
    expect((await chat()).status).toBe(503)
    expect(gateway.sandbox.openai.calls.filter(({ method }) => method === 'POST')).toHaveLength(0)
    expect(await gateway.metric('faults_injected_total', { kind: 'reset' })).toBeGreaterThanOrEqual(2)

    await setFaults({ ...fault, kind: '429', retry_after: 60 })
    const throttled = await chat({ model: 'another' })
    expect([throttled.status, throttled.headers.get('retry-after')]).toEqual([429, '60'])

    await setFaults({ ...fault, kind: 'malformed' })
    const { text, done } = await readSse(await chat({ model: 'a-third', stream: true }))
    expect({ text, done }).toEqual({ text: words(20), done: true })
    expect(await gateway.metric('stream_malformed_events_total', { provider: 'openai' })).toBe(1)

    await setFaults({ ...fault, kind: 'no_done' })
    const finalised = await readSse(await chat({ model: 'a-fourth', stream: true }))
    expect({ text: finalised.text, done: finalised.done }).toEqual({ text: words(20), done: true })
  })

  test('of one model leave the others alone', async () => {
    await setFaults({ ...fault, kind: 'reset', target: 'openai:gpt-4o' })
    expect((await chat({ model: 'gpt-4o-mini' })).status).toBe(200)
    expect((await chat()).status).toBe(503)
  })

  test('of a market triple its prices, of the next list that is loaded', async () => {
    const offers = async () => {
      const response = await gateway.get('/api/v1/gpu/offers?limit=200')
      const { offers } = (await response.json()) as { offers: { id: string; price_per_hour: number }[] }
      return new Map(offers.map(({ id, price_per_hour }) => [id, price_per_hour]))
    }
    const usual = await offers()
    await gateway.close()
    gateway = await startTestGateway()
    await setFaults({ ...fault, target: 'ionet', kind: 'price_spike' })
    const spiked = await offers()
    expect(spiked.size).toBe(usual.size)
    for (const [id, price] of usual) {
      expect(spiked.get(id)).toBeCloseTo(id.startsWith('ionet:') ? 3 * price : price, 5)
    }
  })

  const refused: [string, unknown, RegExp][] = [
    ['no list', {}, /faults/],
    ['an unknown field', { faults: [], force: true }, /force/],
    ['an unknown field of a fault', { faults: [{ ...fault, color: 'red' }] }, /color/],
    ['an option of another kind', { faults: [{ ...fault, retry_after: 2 }] }, /retry_after/],
    ['an unknown kind', { faults: [{ ...fault, kind: 'meteor' }] }, /must be one of cut, stall, malformed/],
    ['no kind', { faults: [{ ...fault, kind: undefined }] }, /must be one of cut, stall, malformed/],
    ['a share above 1', { faults: [{ ...fault, share: 1.1 }] }, /share/],
    ['no share', { faults: [{ ...fault, share: undefined }] }, /share/],
    ['a seed with a fraction', { faults: [{ ...fault, seed: 0.5 }] }, /seed/],
    ['no end', { faults: [{ ...fault, expires_in: undefined }] }, /expires_in/],
    ['an end beyond an hour', { faults: [{ ...fault, expires_in: '61m' }] }, /expires_in: must be "1h" or less/],
    ['an end at once', { faults: [{ ...fault, expires_in: '0s' }] }, /expires_in: must be "1s" or more/],
    ['a time without a unit', { faults: [{ ...fault, expires_in: '10' }] }, /expires_in: must be a duration such as/],
    ['a target that is not called', { faults: [{ ...fault, target: 'nobody' }] }, /target must be one of .*openai/],
    ['too many', { faults: Array.from({ length: 33 }, () => fault) }, /faults/],
  ]
  test.each(refused)('refuse %s, and keep those in force', async (_what, body, says) => {
    await setFaults({ ...fault, share: 0 })
    const response = await put('/api/v1/admin/faults', body)
    expect(response.status).toBe(400)
    expect(await jsonOf(response)).toMatchObject({ code: 'invalid_body', detail: expect.stringMatching(says) })
    expect((await jsonOf(await gateway.get('/api/v1/admin/faults'))).faults).toMatchObject([{ kind: 'cut' }])
  })

  test('are refused where the operator does not allow them', async () => {
    await gateway.close()
    gateway = await startTestGateway({ env: { FAULTS_ENABLED: 'false' } })
    const response = await put('/api/v1/admin/faults', { faults: [fault] })
    expect(response.status).toBe(403)
    expect(await jsonOf(response)).toMatchObject({ code: 'faults_disabled' })
  })
})

describe('all of it', () => {
  const userKey = 'ak_live_useruseruseruseruseruser0001'
  const principal = {
    accountId: '00000000-0000-7000-8000-000000000003',
    keyId: '00000000-0000-7000-8000-000000000004',
    role: 'user' as const,
    scopes: ['inference', 'gpu', 'billing', 'admin'] as const,
    limits: { key: {}, account: {} },
  }

  test.each(['/breakers', '/faults', '/nothing'])('is closed to strangers and users: %s', async (path) => {
    gateway.accounts.add(userKey, principal)
    const url = `${gateway.url}/api/v1/admin${path}`
    expect((await fetch(url)).status).toBe(401)
    const response = await fetch(url, { headers: { authorization: `Bearer ${userKey}` } })
    expect(response.status).toBe(403)
    expect(await jsonOf(response)).toMatchObject({ code: 'administrator_only' })
  })

  test('is closed to an administrator’s key that was given less', async () => {
    gateway.accounts.add(userKey, { ...principal, role: 'administrator', scopes: ['inference'] })
    const response = await put('/api/v1/admin/faults', { faults: [] }, userKey)
    expect(response.status).toBe(403)
    expect(await jsonOf(response)).toMatchObject({ code: 'scope_missing' })
  })
})

test('an active probe brings back a provider long before its breaker’s wait is over', async () => {
  await gateway.close()
  // Timers run a hundred times faster than the clock that the breaker's wait of 30 s is measured by.
  const clock = { ...systemClock, setTimer: (ms: number, fn: () => void) => systemClock.setTimer(ms / 100, fn) }
  gateway = await startTestGateway({ env: { CIRCUIT_BREAKER_MIN_REQUESTS: '4' }, ports: { clock } })
  gateway.sandbox.openai.setFaults([{ kind: 'reset' }])
  await eventually(
    async () => {
      await chat()
      return breaker('openai:other')
    },
    (found) => found?.state === 'open',
  )
  await eventually(() => gateway.metric('upstream_requests_total', { upstream: 'openai', outcome: 'probe_failed' }))
  gateway.sandbox.openai.setFaults([])
  await eventually(
    () => breaker('openai:other'),
    (found) => found?.state === 'half_open',
  )
  await eventually(chat, ({ status }) => status === 200)
  expect(await gateway.metric('upstream_requests_total', { upstream: 'openai', outcome: 'probe_ok' })).toBe(1)
})
