/** A pod that ends while a market is at an order of its own waits for the answer. */
import postgres, { type Sql } from 'postgres'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '../../adapters/sandbox/sandbox.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { eventually } from '../support/gateway.ts'
import { databaseEnv, startTestPostgres, type TestPostgres } from '../support/postgres.ts'
import { type GatewayProcess, processKey, removeDataDir, startGatewayProcess } from '../support/process.ts'

let database: TestPostgres
let sql: Sql
let sandbox: Sandbox
let gateway: GatewayProcess

beforeAll(async () => {
  database = await startTestPostgres()
  const { connection } = database
  sql = 'url' in connection ? postgres(connection.url, { max: 1 }) : postgres({ ...connection, max: 1 })
  sandbox = await startSandbox({ clock, random: Math.random, servers: ['vastai'], market: { paced: false } })
  gateway = await startGatewayProcess({
    env: { ...databaseEnv(database), VASTAI_BASE_URL: sandbox.vastai!.baseUrl, BOOTSTRAP_CREDIT_USD: '1000' },
  })
}, 60_000)
afterAll(async () => {
  if (gateway.child.exitCode === null) await gateway.end('SIGKILL')
  removeDataDir(gateway.dataDir)
  await sandbox.close()
  await sql.end()
  await database.close()
})

const rentals = () => sql<{ state: string; market_id: string | null }[]>`select state, market_id from rentals`

test('a machine that is ordered for a deployment is known to be there', async () => {
  sandbox.vastai!.setFaults([{ kind: 'slow_headers', ms: 2_000, match: { method: 'PUT', path: '/asks/' } }])
  await fetch(`${gateway.url}/api/v1/gpu/deployments`, {
    method: 'POST',
    headers: { authorization: `Bearer ${processKey}`, 'content-type': 'application/json', 'idempotency-key': 'one' },
    body: JSON.stringify({ model: 'acme/tiny-1b', provider: 'vastai', max_price: 2 }),
  })
  await eventually(rentals, ([row]) => row?.state === 'creating')
  expect(await gateway.end('SIGTERM')).toBe(0)
  const [machine] = sandbox.vastai!.machines()
  expect(await rentals()).toEqual([{ state: 'starting', market_id: String(machine!.id) }])
}, 60_000)
