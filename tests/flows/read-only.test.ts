/** Two gateways on a real primary with a standby: the operator's switch, and a primary that is killed and replaced. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../support/gateway.ts'
import { caller, newPerson, password } from '../support/people.ts'
import { type GatewayProcess, processKey, removeDataDir, startGatewayProcess } from '../support/process.ts'
import { type ReplicatedPostgres, startReplicatedPostgres } from '../support/replicated-postgres.ts'

let servers: ReplicatedPostgres
let gateways: GatewayProcess[]
let environment: Record<string, string>

beforeAll(async () => {
  servers = await startReplicatedPostgres()
  const { user, database } = servers.primary.connection
  environment = {
    DB_HOST: `${servers.primary.name},${servers.standby.name}`,
    DB_READ_REPLICAS: servers.standby.name,
    DB_USER: user,
    DB_NAME: database,
    DB_MAX_CONNS: '20',
    DB_MIN_CONNS: '4',
    LOG_LEVEL: 'warn',
    RATE_LIMIT_PER_MINUTE: '1000000',
  }
  // The first one migrates; the second one finds it done.
  gateways = [await startGatewayProcess({ env: environment }), await startGatewayProcess({ env: environment })]
}, 120_000)
afterAll(async () => {
  await Promise.all(gateways.map((gateway) => gateway.end('SIGKILL')))
  for (const { dataDir } of gateways) removeDataDir(dataDir)
  await servers.close()
})

const headers = { authorization: `Bearer ${processKey}`, 'content-type': 'application/json' }
const ask = (gateway: GatewayProcess, method: string, path: string, body?: object) =>
  fetch(gateway.url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) })
const chat = async (gateway: GatewayProcess) =>
  (
    await ask(gateway, 'POST', '/v1/chat/completions', {
      model: 'gpt-4o',
      messages: [{ role: 'user', content: 'hi' }],
      max_tokens: 3,
    })
  ).status
const mode = async (gateway: GatewayProcess) =>
  (await (await ask(gateway, 'GET', '/api/v1/admin/mode')).json()) as { read_only: boolean; reason: string | null }
/** By its metrics, which is where an alert looks. */
const scrapedReason = async ({ url }: GatewayProcess) =>
  /^gateway_read_only\{reason="(\w+)"\} 1$/m.exec(await (await fetch(`${url}/metrics`)).text())?.[1]
const setMode = async (gateway: GatewayProcess, readOnly: boolean) =>
  (await (await ask(gateway, 'PUT', '/api/v1/admin/mode', { read_only: readOnly })).json()) as object
/** Requests in the books, as the gateway that is the primary now has it. */
const used = async (servers: ReplicatedPostgres, of: 'primary' | 'standby') =>
  Number(
    (await servers[of].sql<{ n: number }[]>`select count(*)::int as n from ledger_entries where kind = 'settle'`)[0]?.n,
  )
const pending = async (gateway: GatewayProcess) =>
  Number(/^ledger_pending_events (\d+)/m.exec(await (await fetch(`${gateway.url}/metrics`)).text())?.[1])
/** Events that the operating system has: what was only in memory goes with the process. */
function journalLines({ dataDir }: GatewayProcess) {
  const folder = join(dataDir, 'journal')
  const files = readdirSync(folder).filter((name) => name !== 'lock')
  return files.flatMap((name) => readFileSync(join(folder, name), 'utf8').match(/^E .*\n/gm) ?? []).length
}
/** By every gateway. */
const allSettled = () =>
  eventually(async () => (await Promise.all(gateways.map(pending))).every((events) => events === 0))
const rent = (gateway: GatewayProcess) => ask(gateway, 'POST', '/api/v1/gpu/instances', {})
/** By both. */
const modeIs = (readOnly: boolean) =>
  eventually(
    () => Promise.all(gateways.map(mode)),
    (modes) => modes.every(({ read_only }) => read_only === readOnly),
  )

test('the switch reaches every gateway: what writes is refused, inference and reads go on', async () => {
  const [here, there] = gateways as [GatewayProcess, GatewayProcess]
  expect(await mode(here)).toEqual({ read_only: false, reason: null, since: null, stored: true })
  expect(await scrapedReason(here)).toBeUndefined()
  const { token } = await newPerson(caller(here.url))
  const since = performance.now()
  expect(await setMode(here, true)).toMatchObject({ read_only: true, reason: 'operator', stored: true })
  await modeIs(true)
  expect(performance.now() - since).toBeLessThan(3_000)
  expect(await scrapedReason(there)).toBe('operator')

  const refused = await rent(there)
  expect(refused.status).toBe(503)
  expect(refused.headers.get('retry-after')).toBe('5')
  expect(await refused.json()).toMatchObject({ code: 'read_only' })
  for (const [method, path] of [
    ['POST', '/api/v1/auth/register'],
    ['POST', '/api/v1/auth/apikeys'],
    ['DELETE', '/api/v1/auth/apikeys/x'],
    ['DELETE', '/api/v1/gpu/instances/x'],
    ['POST', '/api/v1/gpu/reservations'],
    ['PATCH', '/api/v1/gpu/deployments/x'],
    ['POST', '/api/v1/billing/payments'],
  ] as const) {
    expect({ path, status: (await ask(there, method, path)).status }).toEqual({ path, status: 503 })
  }
  expect((await caller(there.url)('DELETE', '/api/v1/user', { password }, { token })).status).toBe(503)
  expect(await chat(there)).toBe(200)
  expect((await ask(there, 'GET', '/api/v1/gpu/offers')).status).toBe(200)
  expect((await ask(there, 'POST', '/api/v1/route/explain', { model: 'gpt-4o', messages: [] })).status).toBe(200)

  await setMode(there, false)
  await modeIs(false)
  expect((await rent(here)).status).not.toBe(503)
})

test('what is served meanwhile is kept, and settled once when the mode is lifted', async () => {
  const [here] = gateways as [GatewayProcess]
  await allSettled()
  const before = await used(servers, 'primary')
  await setMode(here, true)
  for (let i = 0; i < 20; i++) expect(await chat(here)).toBe(200)
  // Each is held, and ends.
  expect(await pending(here)).toBe(40)
  expect(await used(servers, 'primary')).toBe(before)
  await setMode(here, false)
  await allSettled()
  expect(await used(servers, 'primary')).toBe(before + 20)
  await modeIs(false)
})

test('a body of the switch that says something else is refused by name', async () => {
  const response = await ask(gateways[0]!, 'PUT', '/api/v1/admin/mode', { readOnly: true })
  expect(response.status).toBe(400)
})

test('a primary that is killed: read-only by itself, inference goes on, and writing returns with the promoted one', async () => {
  const [here] = gateways as [GatewayProcess]
  expect(await chat(here)).toBe(200)
  await servers.caughtUp()
  await servers.primary.kill()
  const modes = await modeIs(true)
  expect(modes.map(({ reason }) => reason)).toEqual(['primary_lost', 'primary_lost'])
  expect(await Promise.all(gateways.map(scrapedReason))).toEqual(['primary_lost', 'primary_lost'])
  const since = performance.now()
  expect((await rent(here)).status).toBe(503)
  expect(performance.now() - since).toBeLessThan(1_000)
  const usedBefore = await used(servers, 'standby')
  for (let i = 0; i < 10; i++) expect(await chat(here)).toBe(200)
  // No primary can take the switch: it holds in this gateway.
  expect(await setMode(here, true)).toMatchObject({ read_only: true, reason: 'operator', stored: false })

  const promotedAt = performance.now()
  await servers.promote()
  await eventually(
    () => Promise.all(gateways.map(mode)),
    ([first, second]) => first?.reason === 'operator' && second?.reason === 'operator',
  )
  await setMode(here, false)
  await modeIs(false)
  expect(performance.now() - promotedAt).toBeLessThan(5_000)
  expect(await chat(here)).toBe(200)
  const [row] = await servers.standby.sql`select value from settings where name = 'read_only'`
  expect(row).toEqual({ value: 'false' })
  await eventually(
    () => used(servers, 'standby'),
    (n) => n >= usedBefore + 11,
  )
})

test('a gateway that is killed while usage waits leaves it to the next one on its folder', async () => {
  const [, there] = gateways as [GatewayProcess, GatewayProcess]
  await allSettled()
  const before = await used(servers, 'standby')
  await setMode(there, true)
  const lines = journalLines(there)
  for (let i = 0; i < 30; i++) expect(await chat(there)).toBe(200)
  await eventually(() => journalLines(there) === lines + 60)
  expect(await pending(there)).toBe(60)
  await there.end('SIGKILL')
  gateways[1] = await startGatewayProcess({ env: environment, dataDir: there.dataDir })
  expect(await mode(gateways[1])).toMatchObject({ read_only: true, reason: 'operator' })
  await setMode(gateways[1], false)
  await eventually(
    () => used(servers, 'standby'),
    (n) => n === before + 30,
  )
})

test('a gateway that starts behind the list finds the primary, wherever it stands', async () => {
  const late = await startGatewayProcess({ env: environment })
  gateways.push(late)
  expect(await chat(late)).toBe(200)
  expect(await mode(late)).toMatchObject({ read_only: false })
})

test('DB_READ_ONLY=true says why, and cannot be switched off', async () => {
  const frozen = await startGatewayProcess({ env: { ...environment, DB_READ_ONLY: 'true' } })
  gateways.push(frozen)
  expect(await setMode(frozen, false)).toMatchObject({ read_only: true, reason: 'environment' })
  expect((await rent(frozen)).status).toBe(503)
  expect(await chat(frozen)).toBe(200)
})
