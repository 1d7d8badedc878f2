import { expect, test } from 'vitest'
import { FakeClock } from '../tests/support/fake-clock.ts'
import { createMemoryStore } from './cache/http/memory-store.ts'
import { createMemoryTier } from './cache/memory-tier.ts'
import { loadEdgeConfig } from './edge/config.ts'
import { createEdge } from './edge.ts'
import { createAccessTokens } from './services/access-tokens.ts'

const secret = 'a-secret-of-the-tests-that-signs-access-tokens'

test('a long answer to a token is no word on it once it has ended', async () => {
  const clock = new FakeClock()
  const newId = () => crypto.randomUUID()
  const [begun, completion] = [Promise.withResolvers<void>(), Promise.withResolvers<Response>()]
  let isGood = true
  const edge = createEdge(loadEdgeConfig({ ORIGINS: 'https://origin.test', JWT_SECRET: secret }), {
    clock,
    random: () => 0.5,
    newId,
    digest: async (text) => text,
    ask: async ({ method }) => {
      if (method === 'POST') {
        begun.resolve()
        return completion.promise
      }
      if (!isGood) return new Response(null, { status: 401 })
      return new Response('offers', { headers: { 'cdn-cache-control': 'public, max-age=600' } })
    },
    store: createMemoryStore(createMemoryTier({ maxBytes: 1024 * 1024 })),
    onUnexpected(error) {
      throw error
    },
  })
  const session = { accountId: newId(), sessionId: newId() }
  const { token } = await createAccessTokens({ clock, newId, secret, lifetimeMs: 3_600_000 }).issue(session)
  const ask = async (path: string, init: RequestInit = {}) => {
    const request = new Request(`https://edge.test${path}`, { ...init, headers: { authorization: `Bearer ${token}` } })
    const answer = await edge.fetch(request, { address: '192.0.2.1', background() {} })
    return [answer.status, answer.headers.get('x-edge-cache'), await answer.text()]
  }
  const offers = '/api/v1/gpu/offers'
  expect(await ask(offers)).toEqual([200, 'MISS', 'offers'])
  expect(await ask(offers)).toEqual([200, 'HIT', 'offers'])
  const asked = ask('/v1/chat/completions', { method: 'POST' })
  await begun.promise
  await clock.advance(60_000)
  isGood = false
  completion.resolve(new Response('done'))
  expect((await asked)[0]).toBe(200)
  expect((await ask(offers))[0]).toBe(401)
})
