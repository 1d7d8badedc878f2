/** Two gateway processes on one real PostgreSQL: what ends on one ends on both, and nothing secret is left lying about. */
import postgres from 'postgres'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../support/gateway.ts'
import {
  type Call,
  caller,
  type MadeKey,
  newEmail,
  newKey,
  newPerson,
  password,
  type SignedIn,
  signIn,
} from '../support/people.ts'
import { databaseEnv, startTestPostgres, type TestPostgres } from '../support/postgres.ts'
import { type GatewayProcess, processKey, removeDataDir, startGatewayProcess } from '../support/process.ts'

const jwtSecret = 'canary-jwt-secret-0123456789abcdef'
const previousSecret = 'canary-former-secret-0123456789abcd'
const revokedWithinMs = 5_000

let server: TestPostgres
let gateways: GatewayProcess[]
let here: Call
let there: Call
beforeAll(async () => {
  server = await startTestPostgres()
  const env = {
    ...databaseEnv(server),
    JWT_SECRET: jwtSecret,
    JWT_SECRET_PREVIOUS: previousSecret,
    TRUSTED_PROXY_HOPS: '1',
    RATE_LIMIT_PER_MINUTE: '1000000',
    DB_MAX_CONNS: '20',
    DB_MIN_CONNS: '2',
    LOG_LEVEL: 'debug',
  }
  // The first one migrates; the second one finds it done.
  gateways = [await startGatewayProcess({ env }), await startGatewayProcess({ env })]
  ;[here, there] = gateways.map(({ url }) => caller(url)) as [Call, Call]
}, 120_000)
afterAll(async () => {
  const alive = gateways.filter(({ child }) => child.exitCode === null)
  await Promise.all(alive.map((gateway) => gateway.end('SIGKILL')))
  for (const { dataDir } of gateways) removeDataDir(dataDir)
  await server.close()
})

const me = (call: Call, token: string) => call('GET', '/api/v1/user', undefined, { token })
const refresh = (call: Call, token: string) =>
  call<{ tokens: SignedIn['tokens'] }>('POST', '/api/v1/auth/refresh', { refresh_token: token })
/** Used on both all the time, so that both remember it; then it has to stop on both in time. */
async function expectStop(token: string, end: () => Promise<unknown>) {
  for (const call of [here, there]) expect((await me(call, token)).status).toBe(200)
  await end()
  const since = performance.now()
  for (const call of [here, there]) {
    while ((await me(call, token)).status !== 401) {
      if (performance.now() - since > revokedWithinMs) expect.fail('it still works')
    }
  }
}

test('a revoked key, an ended session, a changed password and a disabled account stop on every gateway in time', async () => {
  const [byKey, bySignOut, byPassword, byAdministrator, byClosing] = [
    await newPerson(here),
    await newPerson(here),
    await newPerson(there),
    await newPerson(there),
    await newPerson(here),
  ]
  const key = await newKey(here, byKey.token)
  const other = (await signIn(there, byPassword.email)).body.tokens.access_token
  const disabled = await newKey(there, byAdministrator.token)
  const change = { password, new_password: 'another long password 77' }
  await Promise.all([
    expectStop(key.api_key, () => here('DELETE', `/api/v1/auth/apikeys/${key.id}`, undefined, { token: byKey.token })),
    expectStop(bySignOut.token, () => here('POST', '/api/v1/auth/logout', undefined, { token: bySignOut.token })),
    expectStop(other, () => there('PUT', '/api/v1/user/password', change, { token: byPassword.token })),
    expectStop(disabled.api_key, () =>
      here('PATCH', `/api/v1/admin/accounts/${byAdministrator.id}`, { disabled: true }, { token: processKey }),
    ),
    expectStop(byClosing.token, () => there('DELETE', '/api/v1/user', { password }, { token: byClosing.token })),
  ])
  expect((await me(there, byPassword.token)).status).toBe(200)
})

test('a key that was made on one gateway works at once on the other', async () => {
  const person = await newPerson(here)
  for (let i = 0; i < 20; i++) {
    const { api_key: key } = await newKey(here, person.token)
    expect((await me(there, key)).status).toBe(200)
  }
})

test('of many who renew at the same moment on both, one gets tokens and nobody is signed out', async () => {
  for (let round = 0; round < 5; round++) {
    const { refreshToken } = await newPerson(here)
    const all = await Promise.all(Array.from({ length: 12 }, (_, i) => refresh(i % 2 ? here : there, refreshToken)))
    expect(all.map(({ status }) => status).sort()).toEqual([200, ...Array(11).fill(401)])
    const { tokens } = all.find(({ status }) => status === 200)!.body
    expect((await me(there, tokens.access_token)).status).toBe(200)
    expect((await refresh(there, tokens.refresh_token)).status).toBe(200)
  }
})

test('guesses are counted over both gateways', async () => {
  const { email } = await newPerson(here)
  const guess = { email, password: 'x'.repeat(12) }
  const all = await Promise.all(
    Array.from({ length: 20 }, (_, i) => (i % 2 ? here : there)('POST', '/api/v1/auth/login', guess)),
  )
  const tried = all.filter(({ status }) => status === 401).length
  // Where hashing twenty takes longer than the first wait, one more may have been let in.
  expect(tried).toBeGreaterThanOrEqual(5)
  expect(tried).toBeLessThanOrEqual(7)
  for (const { status } of all) expect([401, 429]).toContain(status)
})

test('two who register one mailbox at the same moment on both make one account', async () => {
  for (let round = 0; round < 5; round++) {
    const person = { email: newEmail(), password }
    const all = await Promise.all(
      Array.from({ length: 6 }, (_, i) => (i % 2 ? here : there)('POST', '/api/v1/auth/register', person)),
    )
    expect(all.map(({ status }) => status).sort()).toEqual([201, ...Array(5).fill(409)])
  }
})

/** Every row of every table, as text. */
async function dump(): Promise<string> {
  const { connection } = server
  const sql =
    'url' in connection ? postgres(connection.url, { max: 1 }) : postgres({ ...connection, max: 1, onnotice: () => {} })
  const tables = await sql<{ name: string }[]>`select tablename as name from pg_tables where schemaname = 'public'`
  let text = ''
  for (const { name } of tables) {
    const rows = await sql<{ row: string }[]>`select t::text as row from ${sql(name)} as t`
    text += `${name}\n${rows.map(({ row }) => row).join('\n')}\n`
  }
  await sql.end({ timeout: 5 })
  return text
}

/** Of a secret: itself, and what it looks like in base64 and hex, wherever it begins in what was encoded. */
function guises(secret: string | Buffer): string[] {
  const bytes = Buffer.from(secret)
  const base64 = [0, 1, 2].flatMap((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replace(/=+$/, '')
    const certain = text.slice(4, -4)
    return [certain, certain.replaceAll('+', '-').replaceAll('/', '_')]
  })
  return [...(typeof secret === 'string' ? [secret] : []), bytes.toString('hex'), ...base64]
}

test('after a life with every secret none of them is in the database, the log or the metrics', async () => {
  const canary = 'canary-password-of-a-person-0001'
  const next = 'canary-password-of-a-person-0002'
  const email = newEmail()
  await here('POST', '/api/v1/auth/register', { email, password: canary, name: 'Canary' })
  const login = (password: string) => here<SignedIn>('POST', '/api/v1/auth/login', { email, password })
  const { user, tokens } = (await login(canary)).body
  await login('canary-password-that-is-wrong')
  const renewed = (await refresh(there, tokens.refresh_token)).body.tokens
  const key = await newKey(here, renewed.access_token)
  const { body: rotated } = await here<MadeKey>('POST', `/api/v1/auth/apikeys/${key.id}/rotate`, undefined, {
    token: renewed.access_token,
  })
  for (const token of [key.api_key, rotated.api_key]) expect((await me(there, token)).status).toBe(200)
  await here('PUT', '/api/v1/user/password', { password: canary, new_password: next }, { token: renewed.access_token })
  const reset = await here(
    'PATCH',
    `/api/v1/admin/accounts/${user.id}`,
    { reset_password: true },
    { token: processKey },
  )
  // Where they do not belong, by mistake.
  await here('GET', `/v1/${key.api_key}?api_key=${key.api_key}&token=${renewed.access_token}`)
  await here('POST', '/api/v1/auth/login', `{"email": "${email}", "password": "${canary}`)
  await here('POST', '/api/v1/auth/refresh', { refresh_token: `${renewed.refresh_token}x` })

  const text = await dump()
  // What is looked for would be found.
  for (const known of [key.id, email, key.prefix]) expect(text.includes(known)).toBe(true)
  // The log is written in pieces, in order: with this line all before it are there.
  const last = { headers: { 'x-request-id': 'the-last-line' } }
  await Promise.all(gateways.map(({ url }) => fetch(`${url}/api/v1/user`, last)))
  const logs = await Promise.all(
    gateways.map(({ output }) => eventually(output, (text) => text.includes('the-last-line'))),
  )
  const told = logs.join('\n')
  expect(told.includes(key.id)).toBe(true)
  const metrics = await Promise.all(gateways.map(({ url }) => fetch(`${url}/metrics`).then((page) => page.text())))

  const secretOf = (refreshToken: string) => Buffer.from(refreshToken.slice(3), 'base64url').subarray(32)
  const secrets = [
    ...[canary, next, 'canary-password-that-is-wrong', reset.body.temporary_password as string],
    ...[jwtSecret, previousSecret],
    ...[key.api_key, rotated.api_key, key.api_key.slice(8), rotated.api_key.slice(8), processKey],
    ...[tokens, renewed].flatMap((each) => [each.refresh_token, secretOf(each.refresh_token)]),
    ...[tokens, renewed].map((each) => each.access_token.split('.')[2]!),
  ]
  for (const [where, all] of Object.entries({ database: text, log: told, metrics: metrics.join('\n') })) {
    for (const secret of secrets) {
      for (const guise of guises(secret)) {
        expect(guise.length).toBeGreaterThan(10)
        if (all.includes(guise)) expect.fail(`a secret that begins with ${guise.slice(0, 12)} is in the ${where}`)
      }
    }
  }
  // An address is where somebody lives, and an email who they are.
  expect(told.includes(email)).toBe(false)
  expect(/\b10\.0\.\d+\.\d+\b/.test(text)).toBe(false)
})

test('a gateway that stops has written when keys were used last', async () => {
  const person = await newPerson(there)
  const key = await newKey(there, person.token)
  expect((await me(here, key.api_key)).status).toBe(200)
  expect(await gateways[0]!.end('SIGTERM')).toBe(0)
  const { body } = await there<{ apikeys: MadeKey[] }>('GET', '/api/v1/auth/apikeys', undefined, {
    token: person.token,
  })
  expect(body.apikeys[0]!.last_used_at).not.toBeNull()
})
