/** The gateway is killed while the call that creates a machine is out, and started again beside the same market. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Sandbox, startSandbox } from '../../adapters/sandbox/sandbox.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { eventually } from '../support/gateway.ts'
import { databaseEnv, startTestPostgres, type TestPostgres } from '../support/postgres.ts'
import { type GatewayProcess, processKey, removeDataDir, startGatewayProcess } from '../support/process.ts'

let postgres: TestPostgres
let sandbox: Sandbox & Required<Pick<Sandbox, 'vastai'>>
let gateway: GatewayProcess
const path = '/api/v1/gpu/instances'

beforeEach(async () => {
  postgres = await startTestPostgres()
  sandbox = (await startSandbox({
    ...{ clock, random: Math.random, servers: ['vastai'] },
    market: { provisioningMs: 50, loadingMs: 50, paced: false },
  })) as typeof sandbox
  gateway = await start()
})
afterEach(async () => {
  await gateway.end('SIGKILL')
  removeDataDir(gateway.dataDir)
  await sandbox.close()
  await postgres.close()
})

const start = (dataDir?: string) =>
  startGatewayProcess({
    env: { ...databaseEnv(postgres), RATE_LIMIT_PER_MINUTE: '1000000', VASTAI_BASE_URL: sandbox.vastai.baseUrl },
    ...(dataDir && { dataDir }),
  })
const ask = (to: string, init: RequestInit & { headers?: Record<string, string> } = {}) =>
  fetch(gateway.url + to, { ...init, headers: { authorization: `Bearer ${processKey}`, ...init.headers } })
const instances = async () => (await (await ask(path)).json()).instances as { id: string; status: string }[]
const alive = () => sandbox.vastai.machines().filter(({ ending }) => !ending)
const creates = () => sandbox.vastai.calls.filter(({ method, path }) => method === 'PUT' && path.includes('/asks/'))

async function rent() {
  const { offers } = await (await ask('/api/v1/gpu/offers?provider=vastai&sort=price&limit=1')).json()
  return ask(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': 'rent-it' },
    body: JSON.stringify({ offer_id: offers[0].id, image: 'ubuntu:24.04', ports: [8000], max_hours: 2 }),
  })
}
async function crash() {
  await gateway.end('SIGKILL')
  gateway = await start(gateway.dataDir)
}
/** Everything ends, the books and the market agree, and nothing was made twice. */
async function endsWell() {
  for (const { id } of await instances()) await ask(`${path}/${id}`, { method: 'DELETE' })
  await eventually(instances, (left) => left.length === 0)
  expect(alive()).toEqual([])
  expect(creates()).toHaveLength(1)
  const { held } = await (await ask('/api/v1/billing/balance')).json()
  expect(held).toBe('0.00')
  const { transactions } = await (await ask('/api/v1/billing/transactions')).json()
  const settled = transactions.filter((each: { kind: string; instance_id?: string }) => each.instance_id !== undefined)
  const paid = settled.reduce((sum: number, { amount }: { amount: string }) => sum - Number(amount), 0)
  const billed = sandbox.vastai.bill().reduce((sum, { microUsd }) => sum + microUsd, 0)
  expect(Math.round(paid * 1e6)).toBe(billed)
}

test('while the call that creates it is out: it is adopted, and none is made twice', { timeout: 240_000 }, async () => {
  sandbox.vastai.setFaults([{ kind: 'swallow_reply', instead: 'hang', match: { method: 'PUT', path: '/asks/' } }])
  const asked = rent().catch(() => undefined)
  await eventually(() => alive().length === 1)
  sandbox.vastai.setFaults([])
  await crash()
  await asked
  // For two minutes the call may still be under way; asked at every turn the gateway would have little else to do.
  while ((await instances())[0]?.status !== 'running') await sleep(250)
  expect(alive()).toHaveLength(1)
  await endsWell()
})
