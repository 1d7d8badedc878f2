/** Limits of keys, accounts and providers through the HTTP front. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LimitSettings } from '../../src/domain/principal.ts'
import { startTestGateway, type TestGateway, words } from '../support/gateway.ts'

let gateway: TestGateway
beforeEach(async () => {
  gateway = await startTestGateway({
    routing: ({ openai: { baseUrl } }) => ({
      providers: {
        small: { kind: 'openai', base_url: baseUrl, limits: { requests_per_minute: 3 } },
        narrow: { kind: 'openai', base_url: baseUrl, limits: { max_concurrent: 1 } },
        tight: { kind: 'openai', base_url: baseUrl, limits: { tokens_per_minute: 1_000 } },
        large: { kind: 'openai', base_url: baseUrl },
      },
      models: {
        both: { targets: [{ provider: 'small' }, { provider: 'large' }] },
        alone: { targets: [{ provider: 'small' }] },
        narrow: { targets: [{ provider: 'narrow' }] },
        tight: { targets: [{ provider: 'tight' }] },
        any: { targets: [{ provider: 'large' }] },
      },
    }),
  })
})
afterEach(() => gateway.close())

let keys = 0
/** A caller whose key and account have these limits. */
const caller = (key: LimitSettings, account: LimitSettings = {}, accountId = `account-${++keys}`) => {
  const apiKey = `ak_live_limitslimitslimits${++keys}`
  gateway.accounts.add(apiKey, {
    accountId,
    keyId: apiKey.slice(-10),
    role: 'user',
    scopes: ['inference'],
    limits: { key, account },
  })
  return (model = 'any', content = 'hi', more: object = {}, init: RequestInit = {}) =>
    gateway.post(
      '/v1/chat/completions',
      { model, messages: [{ role: 'user', content }], max_tokens: 5, ...more },
      { ...init, headers: { authorization: `Bearer ${apiKey}` } },
    )
}
const statuses = async (ask: () => Promise<Response>, count: number) => {
  const found: number[] = []
  for (let i = 0; i < count; i++) found.push((await ask()).status)
  return found
}
const messageOf = async (response: Response) =>
  ((await response.json()) as { error: { message: string } }).error.message

describe('a key', () => {
  test('is told which limit refuses, of what kind, and when to come back', async () => {
    const ask = caller({ requestsPerMinute: 2 })
    expect(await statuses(ask, 2)).toEqual([200, 200])
    const refused = await ask()
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(25)
    expect(refused.headers.get('x-ratelimit-remaining-requests')).toBe('0')
    expect(await messageOf(refused)).toBe(
      'This API key may make 2 requests a minute. Slow down, or ask for a higher limit.',
    )
  })

  test('shares its account’s limit with the account’s other keys, and a refusal costs its own nothing', async () => {
    const account = { requestsPerMinute: 3 }
    const one = caller({ requestsPerMinute: 100 }, account, 'shared')
    const other = caller({ requestsPerMinute: 100 }, account, 'shared')
    expect(await statuses(one, 2)).toEqual([200, 200])
    expect(await statuses(other, 3)).toEqual([200, 429, 429])
    const refused = await one()
    expect(await messageOf(refused)).toContain('This account may make 3 requests a minute')
    expect(refused.headers.get('x-ratelimit-remaining-requests')).toBe('98')
    expect(await gateway.metric('rate_limited_total', { scope: 'account' })).toBe(3)
  })

  test('has its tokens counted before the body is read, by its length', async () => {
    const ask = caller({ tokensPerMinute: 1_000 })
    const first = await ask('any', words(300))
    expect(first.status).toBe(200)
    expect(first.headers.get('x-ratelimit-limit-tokens')).toBe('1000')
    const remaining = Number(first.headers.get('x-ratelimit-remaining-tokens'))
    expect(remaining).toBeGreaterThan(300)
    expect(remaining).toBeLessThan(800)
    const refused = await ask('any', words(900))
    expect(refused.status).toBe(429)
    expect(await messageOf(refused)).toContain('1000 tokens a minute')
    expect((await ask('any', 'short')).status).toBe(200)
  })

  test.each([{ stream: false }, { stream: true }])(
    'has settled what an answer cost in truth (stream: $stream)',
    async ({ stream }) => {
      const ask = caller({ tokensPerMinute: 1_000 })
      // A short question with a long answer: the sandbox says the same number of words again.
      const first = await ask('any', words(150), { stream, max_tokens: 400 })
      await first.text()
      const before = Number(first.headers.get('x-ratelimit-remaining-tokens'))
      const second = await ask('any', 'hi')
      const cost = before - Number(second.headers.get('x-ratelimit-remaining-tokens'))
      const { total_tokens: total } = (
        (await (await ask('any', words(150), { max_tokens: 400 })).json()) as { usage: { total_tokens: number } }
      ).usage
      const expected = 1_000 - before
      expect(Math.abs(cost - (total - expected))).toBeLessThan(60)
    },
  )

  test('pays no tokens for what has none: lists, and files by their size', async () => {
    const apiKey = `ak_live_limitslimitslimits${++keys}`
    const of = { accountId: apiKey, keyId: apiKey, role: 'user', scopes: ['inference'] } as const
    gateway.accounts.add(apiKey, { ...of, limits: { key: { tokensPerMinute: 1_000 }, account: {} } })
    const init = { headers: { authorization: `Bearer ${apiKey}` } }
    for (let i = 0; i < 5; i++) {
      const list = await gateway.get('/v1/models', init)
      expect(list.status).toBe(200)
      expect(list.headers.get('x-ratelimit-limit-tokens')).toBeNull()
    }
    const form = new FormData()
    form.set('model', 'whisper-1')
    form.set('file', new Blob([new Uint8Array(100_000)]), 'speech.wav')
    const file = await fetch(`${gateway.url}/v1/audio/transcriptions`, { ...init, method: 'POST', body: form })
    expect(Number(file.headers.get('x-ratelimit-remaining-tokens'))).toBe(999)
  })

  test('pays nothing in tokens for what failed', async () => {
    const ask = caller({ tokensPerMinute: 1_000 })
    gateway.sandbox.openai.setFaults([{ kind: 'status', status: 400 }])
    for (let i = 0; i < 5; i++) expect((await ask('any', words(300))).status).toBe(400)
    gateway.sandbox.openai.setFaults([])
    expect((await ask('any', words(300))).status).toBe(200)
  })

  test('has so many requests under way at once, and its place back when the caller leaves', async () => {
    const ask = caller({ maxConcurrent: 2 })
    const stay = { stream: true, max_tokens: 5_000 }
    const leaving = new AbortController()
    const streams = [
      await ask('any', words(5_000), stay, { signal: leaving.signal }),
      await ask('any', words(5_000), stay),
    ]
    expect(streams.map(({ status }) => status)).toEqual([200, 200])
    const refused = await ask()
    expect(refused.status).toBe(429)
    expect(await messageOf(refused)).toContain('2 requests under way at once')
    leaving.abort()
    await streams[0]!.text().catch(() => {})
    let status = 429
    while (status === 429) ({ status } = await ask())
    expect(status).toBe(200)
    await streams[1]!.body!.cancel()
  })
})

describe('a provider', () => {
  test('is passed over where it has had what it allows', async () => {
    const ask = caller({})
    const providers = []
    for (let i = 0; i < 5; i++) providers.push((await ask('both')).headers.get('x-gpuproxy-provider'))
    expect(providers).toEqual(['small', 'small', 'small', 'large', 'large'])
    expect(await gateway.metric('rate_limited_total', { scope: 'provider' })).toBe(2)
  })

  test('whose limit is reached and who stands alone makes a 429 with a time to come back', async () => {
    const ask = caller({})
    expect(await statuses(() => ask('alone'), 3)).toEqual([200, 200, 200])
    const refused = await ask('alone')
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(10)
    expect(gateway.sandbox.openai.calls).toHaveLength(3)
  })

  test('has its place again when a stream has ended', async () => {
    const ask = caller({})
    const long = await ask('narrow', words(2_000), { stream: true, max_tokens: 2_000 })
    expect((await ask('narrow')).status).toBe(429)
    await long.body!.cancel()
    let status = 429
    while (status === 429) ({ status } = await ask('narrow'))
    expect(status).toBe(200)
  })

  test('counts the tokens of prompts', async () => {
    const ask = caller({})
    expect((await ask('tight', words(500))).status).toBe(200)
    expect((await ask('tight', words(900))).status).toBe(429)
  })
})
