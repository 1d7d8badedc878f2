/** Every route that needs the database, while a real one is gone: a 503 that says when to come back, and no crash. */
import { randomUUID } from 'node:crypto'
import { Agent, fetch } from 'undici'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../support/gateway.ts'
import { type Call, caller, newEmail, newPerson, password } from '../support/people.ts'
import { type GatewayProcess, isAlive, processKey, removeDataDir, startGatewayProcess } from '../support/process.ts'
import { type ReplicatedPostgres, startReplicatedPostgres } from '../support/replicated-postgres.ts'

let servers: ReplicatedPostgres
let gateway: GatewayProcess
let call: Call
let person: Awaited<ReturnType<typeof newPerson>>

beforeAll(async () => {
  servers = await startReplicatedPostgres({ standbys: 0 })
  const { host, port, user, database } = servers.primary.connection
  const env = { DB_HOST: host, DB_PORT: String(port), DB_USER: user, DB_NAME: database, DB_SSLMODE: 'disable' }
  gateway = await startGatewayProcess({ env: { ...env, TRUSTED_PROXY_HOPS: '1', RATE_LIMIT_PER_MINUTE: '100000' } })
  call = caller(gateway.url)
  person = await newPerson(call)
}, 60_000)
afterAll(async () => {
  await gateway.end('SIGKILL')
  await servers.close()
  removeDataDir(gateway.dataDir)
})

/** No answer may take longer. */
const withinMs = 4_000
const id = randomUUID()
const newPassword = 'another good password'
const payment = { amount: '5.00', currency: 'USD', payment_method: 'pm_card_visa' }

/** By what is asked with: nothing, somebody's access token, or the administrator's key. */
const routes: Record<'stranger' | 'person' | 'administrator', [method: string, path: string, body?: object][]> = {
  stranger: [
    ['POST', 'auth/register', { email: newEmail(), password }],
    ['POST', 'auth/login', { email: newEmail(), password }],
  ],
  person: [
    ['POST', 'auth/logout'],
    ['GET', 'user'],
    ['PUT', 'user/password', { password, new_password: newPassword }],
    ['DELETE', 'user', { password }],
    ['GET', 'user/export'],
    ['POST', 'auth/apikeys', { name: 'a key' }],
    ['POST', 'auth/apikey', { name: 'a key' }],
    ['GET', 'auth/apikeys'],
    ['DELETE', `auth/apikeys/${id}`],
    ['POST', `auth/apikeys/${id}/rotate`, {}],
    ['GET', 'billing/balance'],
    ['GET', 'billing/transactions'],
    ['GET', 'billing/usage'],
    ['POST', 'billing/payments', payment],
    ['GET', `billing/payments/${id}`],
    ['GET', 'guardrails'],
    ['PUT', 'guardrails', { limits: { '60min': '1.00' } }],
    ['POST', 'guardrails/check', { amount: '1.00' }],
    ['GET', 'receipts/01935f3e-0000-7000-8000-000000000000'],
  ],
  administrator: [
    ['GET', 'admin/accounts'],
    ['GET', `admin/accounts/${id}`],
    ['PATCH', `admin/accounts/${id}`, { disabled: true }],
    ['POST', `admin/accounts/${id}/credits`, { amount: '1.00' }],
    ['PATCH', `admin/accounts/${id}/guardrails`, { reset: true }],
  ],
}

/** A connection for each: one that is used again may be closed just then, which tells of no crash. */
const dispatcher = new Agent({ pipelining: 0 })

async function askAll() {
  const credentials = { stranger: undefined, person: person.token, administrator: processKey }
  const asked = Object.entries(routes).flatMap(([who, ofThem]) => ofThem.map((route) => ({ who, route })))
  return Promise.all(
    asked.map(async ({ who, route: [method, path, body] }) => {
      const token = credentials[who as keyof typeof credentials]
      const response = await fetch(`${gateway.url}/api/v1/${path}`, {
        method,
        headers: {
          'idempotency-key': 'a key',
          'x-forwarded-for': `10.0.${Math.floor(Math.random() * 256)}.7`,
          ...(body && { 'content-type': 'application/json' }),
          ...(token && { authorization: `Bearer ${token}` }),
        },
        ...(body && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(withinMs),
        dispatcher,
      })
      const { code } = (await response.json().catch(() => ({}))) as { code?: string }
      return {
        route: `${method} ${path}`,
        status: response.status,
        code,
        retryAfter: response.headers.get('retry-after'),
      }
    }),
  )
}

const unavailable = ['database_unavailable', 'read_only', 'idempotency_unavailable']

const readOnly = async () =>
  (await call('GET', '/api/v1/admin/mode', undefined, { token: processKey })).body.read_only === true

/** At the first moment, and once the gateway has noticed. */
async function expectUnavailable() {
  for (const wait of [async () => {}, () => eventually(readOnly)]) {
    await wait()
    for (const answer of await askAll()) {
      expect(answer).toMatchObject({ status: 503, retryAfter: expect.stringMatching(/^\d+$/) })
      expect(unavailable, answer.route).toContain(answer.code)
    }
  }
  expect(gateway.output()).not.toContain('unexpected error')
  expect(isAlive(gateway.pid)).toBe(true)
}

test('a database that hangs: each answers 503 with Retry-After, and all is well once it goes on', async () => {
  // Both are known to this pod from now on, for five minutes.
  expect((await call('GET', '/api/v1/user', undefined, { token: person.token })).status).toBe(200)
  expect(await readOnly()).toBe(false)
  await servers.primary.freeze()
  await expectUnavailable()
  await servers.primary.thaw()
  await eventually(async () => !(await readOnly()))
  const made = () => call('POST', '/api/v1/auth/apikeys', { name: 'a key' }, { token: person.token })
  await eventually(async () => (await made()).status === 201)
}, 60_000)

test('a database that is killed: the same', async () => {
  await servers.primary.kill()
  await expectUnavailable()
}, 60_000)
