/**
 * Two accounts and a stranger behind one edge, in front of a real gateway: what one of them was shown, nobody else is, by
 * no spelling of the URL, no method and no header.
 */
import { randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Pool } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startEdgeNode } from '../support/edge-node.ts'
import { type RunningEdge, startEdgeWorker } from '../support/edge-worker.ts'
import { startTestGateway, type TestGateway, testJwtSecret } from '../support/gateway.ts'
import { caller, newKey, newPerson } from '../support/people.ts'
import { seededRandom } from '../support/seeded-random.ts'

let gateway: TestGateway
let people: { email: string; credentials: Record<string, string>[] }[]

beforeAll(async () => {
  gateway = await startTestGateway({ env: { TRUSTED_PROXY_HOPS: '1' } })
  const call = caller(gateway.url)
  people = await Promise.all(
    [0, 1].map(async () => {
      const { email, token } = await newPerson(call)
      const { api_key: key } = await newKey(call, token, { scopes: ['inference', 'gpu', 'billing'] })
      return {
        email,
        credentials: [{ authorization: `Bearer ${token}` }, { authorization: `Bearer ${key}` }, { 'x-api-key': key }],
      }
    }),
  )
})
afterAll(() => gateway.close())

const spellings = [
  '/api/v1/user',
  '/api/v1/user?',
  '/api/v1/user?a=1&b=2',
  '/api/v1/user?b=2&a=1',
  '/api/v1/user/',
  '/api/v1/%75ser',
  '/api/v1/./user',
  '/api/v1/x/../user',
  '/api/v1/x/%2e%2e/user',
  '/API/v1/user',
  '/api/v1/user;a.css',
  '/api/v1/user/x.css',
  '/api/v1/user%2f..%2fx.js',
  '//api/v1/user',
  '/api/v1/user#x',
]
const tricks: Record<string, string>[] = [
  {},
  { 'x-forwarded-host': 'evil.example' },
  { 'x-original-url': '/api/v1/user' },
  { 'x-rewrite-url': '/api/v1/user' },
  { 'x-http-method-override': 'POST' },
  { 'cache-control': 'only-if-cached' },
  { 'cache-control': 'max-stale=1000000' },
  { 'if-none-match': '*' },
  { range: 'bytes=0-1000' },
  { cookie: 'a=1' },
  { origin: 'https://evil.example' },
]

describe.each([
  ['on Node', startEdgeNode],
  ['in the worker runtime', startEdgeWorker],
])('the edge %s', (_, start) => {
  let edge: RunningEdge
  let pool: Pool
  beforeAll(async () => {
    edge = await start({ ORIGINS: gateway.url, JWT_SECRET: testJwtSecret, EDGE_RATE_LIMIT_PER_MINUTE: '100000' })
    pool = new Pool(edge.url)
  })
  afterAll(async () => {
    await pool.close()
    await edge.close()
  })

  /** With the path byte for byte. */
  async function ask(method: string, path: string, headers: Record<string, string>): Promise<string> {
    const answer = await pool.request({ method: method as 'GET', path, headers, signal: AbortSignal.timeout(30_000) })
    return JSON.stringify(answer.headers) + (await answer.body.text())
  }

  test('shows each person himself, or this would show nothing', async () => {
    for (const { email, credentials } of people) {
      for (const headers of credentials) expect(await ask('GET', '/api/v1/user', headers)).toContain(email)
    }
  })

  test('never shows anybody what somebody else was shown', async () => {
    const seed = randomInt(2 ** 31)
    const random = seededRandom(seed)
    const one = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!
    const visitors = [...people, { email: 'nobody', credentials: [{}] as Record<string, string>[] }]
    let shown = 0
    for (let i = 0; i < 400; i++) {
      const visitor = one(visitors)
      const asked = [
        one(['GET', 'GET', 'GET', 'HEAD']),
        one(spellings),
        { ...one(tricks), ...one(visitor.credentials) },
      ] as const
      const text = await ask(...asked)
      for (const { email } of people) {
        if (email !== visitor.email) expect(text, `seed ${seed}: ${JSON.stringify(asked)}`).not.toContain(email)
        else if (text.includes(email)) shown++
      }
      expect(text, `seed ${seed}`).not.toContain('evil.example')
    }
    expect(shown).toBeGreaterThan(20)
  })
})

test('no secret stands in the worker’s configuration', () => {
  const text = readFileSync(join(import.meta.dirname, '../../wrangler.toml'), 'utf8')
  expect(text).not.toMatch(/^\s*\w*(?:SECRET|TOKEN|PASSWORD|API_KEY)\w*\s*=/im)
  expect(text).not.toMatch(/ak_live_|sk-|eyJ/)
})
