import { expect, it } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { FakeHttp } from '../../tests/support/fake-http.ts'
import { marketControl, passUntil } from '../../tests/support/market-control.ts'
import type { RentalSpec } from '../domain/rental.ts'
import { HttpFailure } from '../ports.ts'
import type { MachineOrder } from './market.ts'

const { signal } = new AbortController()
const spec: RentalSpec = {
  image: 'vllm/vllm-openai',
  diskGb: 20,
  env: { MODEL: 'm' },
  ports: [8000],
  args: [],
  onstart: undefined,
  label: 'mine',
  maxPrice: undefined,
  maxHours: undefined,
  bid: undefined,
  replace: false,
}
const label = 'aiserve-0123abcd-0198c0de-0000-7000-8000-000000000001'

async function world() {
  const { clock, market, control, controls, vendor } = marketControl('vastai')
  const reply = await market.http.bytes({
    method: 'POST',
    origin: market.origin,
    path: '/api/v0/bundles/',
    headers: {},
    body: JSON.stringify({ limit: 1 }),
    signal,
    headersTimeoutMs: 0,
    idleTimeoutMs: 0,
    maxBytes: 1e7,
  })
  const [offer] = JSON.parse(new TextDecoder().decode(reply.body)).offers
  const order: MachineOrder = { offerId: String(offer.id), label, spec, hours: 1, pricePerHour: 1e9, gpuCount: 1 }
  const pass = <T>(work: Promise<T>) => passUntil(clock, work)
  const create = (more: Partial<MachineOrder> = {}) => pass(control.create({ ...order, ...more }, signal))
  return { clock, market, vendor, control, controls, order, pass, create }
}

it('rents under its label, tells where the machine is reached once it runs, and what it costs', async () => {
  const { clock, control, controls, create, pass } = await world()
  const made = await create()
  expect(made.outcome).toBe('created')
  const id = 'machineId' in made ? made.machineId : ''
  expect(await pass(control.show(id, signal))).toMatchObject({ id, label, status: 'starting', endpoints: [] })
  await clock.advance(5_000)
  const [machine] = await pass(control.list(signal))
  expect(machine).toMatchObject({ id, label, status: 'running', endpoints: [{ port: 8000 }] })
  expect(machine!.endpoints[0]!.origin).toMatch(/^http:\/\/[^/]+:\d+$/)
  await clock.advance(3_600_000)
  expect(await pass(control.destroy(id, signal))).toBe('accepted')
  expect(await pass(control.bill(id, new Date(clock.wallNow() - 3_700_000), signal))).toBe(controls.bill()[0]!.microUsd)
  expect(await pass(control.show(id, signal))).toBeUndefined()
  expect(await pass(control.destroy(id, signal))).toBe('gone')
})

it('lists more machines than are on a page, whole', async () => {
  const { control, controls, create, pass } = await world()
  const made = await create()
  const id = 'machineId' in made ? made.machineId : ''
  for (let n = 0; n < 60; n++) controls.duplicateLabel(id)
  expect(new Set((await pass(control.list(signal))).map((each) => each.id)).size).toBe(61)
})

it('stops and starts', async () => {
  const { clock, control, create, pass } = await world()
  const made = await create()
  const id = 'machineId' in made ? made.machineId : ''
  await clock.advance(5_000)
  expect(await pass(control.setRunning(id, false, signal))).toBe('accepted')
  await clock.advance(5_000)
  expect((await pass(control.show(id, signal)))?.status).toBe('stopped')
  expect(await pass(control.setRunning('1', false, signal))).toBe('gone')
})

it('says that an offer is gone', async () => {
  const { create, controls } = await world()
  await create()
  expect(await create()).toEqual({ outcome: 'gone' })
  expect(controls.machines()).toHaveLength(1)
})

it.each<[string, number, string | undefined, string]>([
  ['a plain 429 is a pause', 429, undefined, 'busy'],
  ['a bad key is refused', 401, undefined, 'refused'],
  ['a success that is false is refused, in a 200 too', 200, 'insufficient_credit', 'refused'],
  ['a 500 may have created it', 500, undefined, 'unknown'],
  ['a 502 may have created it', 502, undefined, 'unknown'],
])('%s', async (_, status, code, outcome) => {
  const { market, create } = await world()
  market.setFaults([{ kind: 'status', status, ...(code !== undefined && { code }) }])
  const calls = market.calls()
  expect((await create()).outcome).toBe(outcome)
  expect(market.calls() - calls).toBe(1)
})

it('never sends a create twice: after a reset and after silence it is unknown', async () => {
  for (const kind of ['reset', 'hang'] as const) {
    const { market, create } = await world()
    market.setFaults([{ kind }])
    const calls = market.calls()
    expect(await create()).toEqual({ outcome: 'unknown' })
    expect(market.calls() - calls).toBe(1)
  }
})

it('knows that nothing was sent where nobody took the connection', async () => {
  const { market, create } = await world()
  market.goDown()
  expect((await create()).outcome).toBe('not_sent')
})

it('keeps the distance that the market wants, whoever asks', async () => {
  const { control, clock, pass } = await world()
  const since = clock.now()
  await pass(Promise.all(Array.from({ length: 5 }, () => control.list(signal))))
  expect(clock.now() - since).toBeGreaterThanOrEqual(4_000)
})

it('takes a machine that no longer runs as lost, in whatever case its status is', async () => {
  const { control, controls, create, pass } = await world()
  const made = await create()
  const id = 'machineId' in made ? made.machineId : ''
  controls.lie({ kind: 'status', id, status: 'EXITED' })
  expect((await pass(control.show(id, signal)))?.status).toBe('lost')
})

it('fetches logs that lie elsewhere by the client that connects to public addresses alone, and not without TLS', async () => {
  const clock = new FakeClock()
  const elsewhereHttp = new FakeHttp(clock, { body: 'a line' })
  const http = new FakeHttp(clock, { body: { success: true, result_url: 'https://files.example/a.log?signed=1' } })
  const { control } = marketControl('vastai', clock, { http, elsewhereHttp })
  expect(await passUntil(clock, control.logs('1', signal))).toBe('a line')
  expect(elsewhereHttp.calls).toMatchObject([{ origin: 'https://files.example', path: '/a.log?signed=1' }])
  http.script({ body: { success: true, result_url: 'http://10.0.0.1/a.log' } })
  await expect(passUntil(clock, control.logs('1', signal))).rejects.toThrow()
  expect([http.calls.length, elsewhereHttp.calls.length]).toEqual([2, 1])
})

it('reads the last of a log that is longer than a megabyte, and says what became of one that cannot be had', async () => {
  const clock = new FakeClock()
  const elsewhereHttp = new FakeHttp(
    clock,
    { status: 403, body: 'AccessDenied' },
    { body: `${'x'.repeat(3e6)}\nthe end` },
  )
  const http = new FakeHttp(clock, { body: { success: true, result_url: 'https://files.example/a.log' } })
  const { control } = marketControl('vastai', clock, { http, elsewhereHttp })
  expect(await passUntil(clock, control.logs('1', signal))).toBe('the end')
  elsewhereHttp.script(new HttpFailure('not_sent'))
  await expect(passUntil(clock, control.logs('1', signal))).rejects.toMatchObject({ class: 'not_sent' })
})
