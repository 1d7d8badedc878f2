import { beforeEach, describe, expect, it } from 'vitest'
import type { Fault } from '../../adapters/sandbox/faults.ts'
import { createIonet, type IonetVendor } from '../../adapters/sandbox/ionet.ts'
import { createVast, type VastVendor } from '../../adapters/sandbox/vast.ts'
import { type HttpCall, HttpFailure } from '../../src/ports.ts'
import { FakeClock } from './fake-clock.ts'
import { createInProcessVendor, type InProcessVendor, routeByOrigin } from './in-process-vendor.ts'

let clock: FakeClock
let vendor: VastVendor
let vast: InProcessVendor
const origin = 'http://vast.test'
const key = 'right'

beforeEach(() => {
  clock = new FakeClock()
  vendor = createVast({ clock, key })
  vast = createInProcessVendor({ origin, vendor, clock, random: () => 0 })
})

const callOf = (method: HttpCall['method'], path: string, body?: unknown, own: Partial<HttpCall> = {}): HttpCall => ({
  method,
  origin,
  path,
  headers: { Authorization: `Bearer ${key}` },
  ...(body !== undefined && { body: JSON.stringify(body) }),
  signal: new AbortController().signal,
  headersTimeoutMs: 10_000,
  idleTimeoutMs: 10_000,
  maxBytes: 1024 * 1024,
  ...own,
})
const order = { image: 'i', disk: 10, label: 'mine' }
const create = (own: Partial<HttpCall> = {}) => vast.http.bytes(callOf('PUT', `/api/v0/asks/${offerId}/`, order, own))
const offerId = createVastOfferId()

function createVastOfferId(): number {
  const answer = createVast({ clock: new FakeClock() }).answer({
    method: 'POST',
    url: '/api/v0/bundles/',
    path: '/api/v0/bundles/',
    query: new URLSearchParams(),
    headers: {},
    body: {},
  })
  return JSON.parse(answer.body as string).offers[0].id
}

/** How a call ended, while the clock goes on. */
async function outcomeOf(call: Promise<unknown>, passMs = 60_000): Promise<unknown> {
  const settled = call.catch((error: unknown) => (error instanceof HttpFailure ? error.kind : error))
  await clock.advance(passMs)
  return settled
}

it('answers as the vendor does over a socket, without one', async () => {
  const { status, headers, body } = await create()
  expect([status, headers['content-type']]).toEqual([200, 'application/json'])
  expect(JSON.parse(new TextDecoder().decode(body))).toMatchObject({ success: true })
  const { body: list } = await vast.http.bytes(callOf('GET', '/api/v1/instances/?limit=5'))
  expect(JSON.parse(new TextDecoder().decode(list)).instances).toMatchObject([{ label: 'mine' }])
  expect((await vast.http.bytes(callOf('GET', '/api/v1/instances/', undefined, { headers: {} }))).status).toBe(401)
  expect(vast.calls()).toBe(3)
})

describe('faults', () => {
  it.each<[string, Fault, string, number]>([
    ['reset before it acts', { kind: 'reset' }, 'reset', 0],
    ['silence', { kind: 'hang' }, 'headers_timeout', 0],
    ['reset after it acted', { kind: 'swallow_reply' }, 'reset', 1],
    ['silence after it acted', { kind: 'swallow_reply', instead: 'hang' }, 'headers_timeout', 1],
    ['headers that come too late', { kind: 'slow_headers', ms: 10_001 }, 'headers_timeout', 1],
    ['a body that stops', { kind: 'stall', afterTokens: 0, ms: 10_001 }, 'idle_timeout', 1],
    ['a body that breaks off', { kind: 'cut', afterTokens: 0 }, 'cut', 1],
    ['a body that is shorter than it says', { kind: 'short_length' }, 'cut', 1],
    ['a body that is longer than it says', { kind: 'long_length' }, 'malformed', 1],
    ['a body that is too long', { kind: 'huge_body', bytes: 2_000_000 }, 'too_large', 0],
  ])('%s', async (_what, fault, failure, machines) => {
    vast.setFaults([fault])
    expect(await outcomeOf(create())).toBe(failure)
    expect(vendor.controls.machines()).toHaveLength(machines)
  })

  it('passes on what has a status', async () => {
    vast.setFaults([{ kind: 'html_502' }])
    expect((await create()).status).toBe(502)
  })

  it('refuses connections while it is down', async () => {
    vast.goDown()
    expect(await outcomeOf(create())).toBe('not_sent')
    vast.comeBack()
    expect((await create()).status).toBe(200)
  })
})

describe('a caller who leaves', () => {
  const leave = async (afterMs: number) => {
    vast = createInProcessVendor({ origin, vendor, clock, random: () => 0, latencyMs: () => 100 })
    const leaving = new AbortController()
    const call = outcomeOf(create({ signal: leaving.signal }), 0)
    await clock.advance(afterMs)
    leaving.abort('left')
    expect(await call).toBe('left')
    await clock.advance(1_000)
    return vendor.controls.machines().length
  }

  it('before the call has arrived: nothing was done', async () => expect(await leave(49)).toBe(0))
  it('before the answer has: it was done', async () => expect(await leave(51)).toBe(1))
  it('of a vendor that is silent for ever', async () => {
    vast.setFaults([{ kind: 'hang' }])
    const leaving = new AbortController()
    const call = outcomeOf(create({ signal: leaving.signal, headersTimeoutMs: 0 }))
    leaving.abort('left')
    expect(await call).toBe('left')
  })
})

it('streams what is not whole, piece by piece', async () => {
  vast.setFaults([{ kind: 'slow_drip', bytesPerSecond: 1_000 }])
  const { body } = await vast.http.stream(callOf('GET', '/api/v0/users/current/'))
  const read = (async () => {
    let text = ''
    for await (const piece of body) text += new TextDecoder().decode(piece)
    return text
  })()
  await clock.advance(10_000)
  expect(JSON.parse(await read)).toMatchObject({ credit: 100 })
})

it('joins several vendors in one client', async () => {
  const other: IonetVendor = createIonet({ clock })
  const ionet = createInProcessVendor({ origin: 'http://ionet.test', vendor: other, clock, random: () => 0 })
  const http = routeByOrigin([vast, ionet])
  const call = callOf('GET', '/v1/io-cloud/caas/hardware')
  expect((await http.bytes({ ...call, origin: 'http://ionet.test' })).status).toBe(200)
  expect((await http.bytes(call)).status).toBe(404)
  await expect(http.bytes({ ...call, origin: 'http://else.test' })).rejects.toMatchObject({ kind: 'not_sent' })
})
