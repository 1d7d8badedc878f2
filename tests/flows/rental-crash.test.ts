/**
 * The gateway is killed while its rentals are in every state that they can be in, and started again beside the same
 * markets: nothing was made twice, nothing is left running, and the books are the markets' bills.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import postgres, { type Sql } from 'postgres'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Fault } from '../../adapters/sandbox/faults.ts'
import { type Sandbox, startSandbox } from '../../adapters/sandbox/sandbox.ts'
import { parseLabel } from '../../src/domain/rental.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { databaseEnv, startTestPostgres, type TestPostgres } from '../support/postgres.ts'
import { type GatewayProcess, processKey, removeDataDir, startGatewayProcess } from '../support/process.ts'

type Market = 'vastai' | 'ionet'
interface Row {
  id: string
  state: string
  market: Market
  hour: number
  accrued: string
}

let database: TestPostgres
let sql: Sql
let sandbox: Sandbox & Required<Pick<Sandbox, Market>>
let gateway: GatewayProcess
const instancesPath = '/api/v1/gpu/instances'

beforeEach(async () => {
  database = await startTestPostgres()
  const { connection } = database
  sql = 'url' in connection ? postgres(connection.url, { max: 1 }) : postgres({ ...connection, max: 1 })
  sandbox = (await startSandbox({
    ...{ clock, random: Math.random, servers: ['vastai', 'ionet'] },
    market: { provisioningMs: 50, loadingMs: 50, destroyDelayMs: 100, paced: false },
  })) as typeof sandbox
  gateway = await start()
})
afterEach(async () => {
  await gateway.end('SIGKILL')
  removeDataDir(gateway.dataDir)
  await sandbox.close()
  await sql.end()
  await database.close()
})

const start = (dataDir?: string) =>
  startGatewayProcess({
    env: {
      ...databaseEnv(database),
      ...{ RATE_LIMIT_PER_MINUTE: '1000000', CIRCUIT_BREAKER_MIN_REQUESTS: '1000', BOOTSTRAP_CREDIT_USD: '10000' },
      ...{ VASTAI_BASE_URL: sandbox.vastai.baseUrl, IONET_BASE_URL: sandbox.ionet.baseUrl },
      // The machine is busy: a pod that lives has to be done with each step by then.
      RENTAL_LEASE: '8s',
    },
    ...(dataDir && { dataDir }),
  })
const ask = (to: string, init: RequestInit & { headers?: Record<string, string> } = {}) =>
  fetch(gateway.url + to, { ...init, headers: { authorization: `Bearer ${processKey}`, ...init.headers } })

let posted = 0
async function post(to: string, body: object): Promise<{ id: string }> {
  const headers = { 'content-type': 'application/json', 'idempotency-key': `post-${++posted}` }
  return (await ask(to, { method: 'POST', headers, body: JSON.stringify(body) })).json()
}
const config = { image: 'ubuntu:24.04', ports: [8000] }
const rent = async (provider: Market) => (await post(instancesPath, { ...config, filters: { provider } })).id
/** Whose answer is not awaited, or dies with the gateway. */
const unheard = (call: Promise<unknown>) => void call.catch(() => undefined)

const rows = () => sql<Row[]>`select rental_id as id, state, market, hour, accrued from rentals order by rental_id`
const rowOf = async (id: string) => (await rows()).find((row) => row.id === id)!
const isBuying = ({ state, market, hour, accrued }: Row) =>
  market === 'ionet' && state === 'running' && hour > 0 && accrued === '0'

async function until<T>(
  what: string,
  ask: () => Promise<T>,
  holds: (value: T) => boolean,
  withinMs = 60_000,
): Promise<T> {
  for (const end = clock.now() + withinMs; ; ) {
    const value = await ask()
    if (holds(value)) return value
    if (clock.now() > end) throw new Error(`${what} did not come about: ${JSON.stringify(value)}`)
    await sleep(100)
  }
}
const untilState = (id: string, state: string) =>
  until(
    state,
    () => rowOf(id),
    (row) => row?.state === state,
  )

const lost = (instead: 'hang' | 'reset', match: Fault['match']): Fault => ({
  kind: 'swallow_reply',
  instead,
  match: match!,
})
const noLists = { vastai: '/api/v1/instances/', ionet: '/caas/deployments' }
const hold = (market: Market, ...faults: Fault[]) =>
  sandbox[market].setFaults([{ kind: 'hang', match: { path: noLists[market] } }, ...faults])

/** As it is now so it will be when it is killed. */
async function frozenRows(): Promise<Row[]> {
  process.kill(gateway.pid, 'SIGSTOP')
  // What the database is at for it is done soon, but where it waits for the frozen process itself.
  const busy = () => sql`
    select 1 from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
      and state = 'active' and wait_event_type is distinct from 'Lock'`
  await until('quiet', busy, (found) => found.length === 0)
  return rows()
}

const states = ['intended', 'creating', 'unknown', 'starting', 'running', 'stopping', 'ending', 'buying']
const seenStates = (all: readonly Row[]) =>
  new Set(all.flatMap((row) => [row.state, ...(isBuying(row) ? ['buying'] : [])]))

/** A rental in every state. Where one does not keep still long enough another takes its place. */
async function bringAbout(): Promise<void> {
  const prepaid = await Promise.all(Array.from({ length: 4 }, () => rent('ionet')))
  const stopping = await rent('vastai')
  for (const id of [...prepaid, stopping]) await untilState(id, 'running')

  // From here on nobody lists a market: what is on its way stays there.
  hold('vastai')
  hold('ionet')
  await ask(`${instancesPath}/${stopping}/stop`, { method: 'POST' })
  await rent('ionet')
  hold('ionet', lost('reset', { path: '/deploy', method: 'POST' }))
  await rent('ionet')
  const noPlace: Fault = { kind: 'status', status: 429, match: { path: '/caas/locations' } }
  hold('ionet', lost('hang', { method: 'DELETE' }), lost('hang', { path: '/extend' }), noPlace)
  hold('vastai', lost('hang', { method: 'PUT', path: '/asks/' }))
  const [ending, ...rest] = prepaid
  await ask(`${instancesPath}/${ending}`, { method: 'DELETE' })
  unheard(post('/api/v1/gpu/reservations', { count: 1, filters: { provider: 'ionet' }, config }))

  for (const next of rest) {
    unheard(rent('vastai'))
    await sql`
      update rentals set started_at = started_at - interval '56 minutes', due_at = now() where rental_id = ${next}`
    for (const end = clock.now() + 7_000; clock.now() < end; ) {
      const missing = (all: readonly Row[]) => states.filter((state) => !seenStates(all).has(state))
      if (missing(await rows()).length === 0) {
        if (missing(await frozenRows()).length === 0) return
        process.kill(gateway.pid, 'SIGCONT')
      }
      await sleep(20)
    }
  }
  throw new Error(`not every state came about: ${JSON.stringify(await rows())}`)
}

test('killed in every state: nothing is made twice, nothing is left, and the books are the bill', {
  timeout: 420_000,
}, async () => {
  await bringAbout()
  await gateway.end('SIGKILL')
  for (const market of ['vastai', 'ionet'] as const) sandbox[market].setFaults([])
  gateway = await start(gateway.dataDir)

  const onTheWay = ['intended', 'creating', 'unknown', 'starting', 'stopping', 'ending']
  const atRest = (all: Row[]) => all.every((row) => !onTheWay.includes(row.state) && !isBuying(row))
  // Where it was killed before the call that creates had left, lists are believed only two minutes after it.
  await until('rest', rows, atRest, 240_000)
  for (const { id } of await rows()) await ask(`${instancesPath}/${id}`, { method: 'DELETE' })
  const ended = await until('the end', rows, (all) => all.every(({ state }) => state === 'gone' || state === 'failed'))

  const bills = [...sandbox.vastai.bill(), ...sandbox.ionet.bill()]
  expect([...sandbox.vastai.machines(), ...sandbox.ionet.machines()]).toEqual([])
  const billOf = new Map(bills.map(({ label, microUsd }) => [parseLabel(label)!.rentalId, microUsd]))
  expect(billOf.size).toBe(bills.length)
  const settled = await sql<{ id: string; amount: string }[]>`
    select instance_id as id, -sum(available + held) as amount from ledger_entries
    where instance_id is not null group by 1 having sum(available + held) <> 0`
  expect(new Map(settled.map(({ id, amount }) => [id, Number(amount)]))).toEqual(billOf)
  expect(ended.length).toBeGreaterThanOrEqual(states.length)
  expect(await (await ask('/api/v1/billing/balance')).json()).toMatchObject({ held: '0.00' })
})
