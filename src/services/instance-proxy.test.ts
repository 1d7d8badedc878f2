import { expect, test } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { FakeHttp } from '../../tests/support/fake-http.ts'
import { newRental } from '../../tests/support/new-rental.ts'
import type { Rental } from '../domain/rental.ts'
import { ApiError } from '../errors.ts'
import { HttpFailure, type HttpFailureKind, type Tunnel } from '../ports.ts'
import { createInstanceProxy } from './instance-proxy.ts'
import { createOpenCalls } from './open-calls.ts'

const id = '0190c0de-0000-7000-8000-000000000001'
const endpoints = [
  { port: 9000, origin: 'http://203.0.113.7:9' },
  { port: 8000, origin: 'http://203.0.113.7:8' },
]

function world(
  own: Partial<Rental> = {},
  tunnel: Tunnel = async () => ({ status: 101, headers: {}, closed: Promise.resolve() }),
) {
  const clock = new FakeClock()
  const http = new FakeHttp(clock, { body: 'it' })
  let rental: Rental | undefined = {
    ...newRental({ accountId: 'a', keyId: 'k', id }),
    state: 'running',
    endpoints,
    ...own,
  } as Rental
  let reads = 0
  const rentals = {
    async find(accountId: string) {
      reads++
      return accountId === 'a' ? rental : undefined
    },
    byIds: async () => (rental ? [rental] : []),
  }
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const openCalls = createOpenCalls({ clock, rentals, log })
  const proxy = createInstanceProxy({ clock, rentals, http, tunnel, openCalls })
  const leaving = new AbortController()
  const request = {
    method: 'GET',
    path: '/',
    headers: {},
    port: undefined as number | undefined,
    signal: leaving.signal,
    onEnd() {},
    stillGood: async () => true,
  }
  const ask = (own: Partial<typeof request> = {}, accountId = 'a', rentalId = id) =>
    proxy.ask(accountId, rentalId, { ...request, ...own, body: undefined })
  const join = () => proxy.join('a', id, request, {})
  return { clock, http, ask, join, leaving, reads: () => reads, set: (to: Rental | undefined) => (rental = to) }
}

test('a call goes to the first port that its owner asked for, or to the one that is named', async () => {
  const { ask, http } = world()
  await ask()
  await ask({ port: 9000 })
  expect(http.calls.map(({ origin }) => origin)).toEqual(['http://203.0.113.7:8', 'http://203.0.113.7:9'])
  await expect(ask({ port: 9001 })).rejects.toThrow('no port 9001. Ask for one that it was rented with: 8000.')
  const only = world({ endpoints: [{ port: undefined, origin: 'https://one.example' }] })
  await only.ask({ port: 1234 })
  expect(only.http.calls[0]!.origin).toBe('https://one.example')
})

test('one that publishes nothing is not to be waited for', async () => {
  const { spec } = newRental({ accountId: 'a', keyId: 'k' })
  const refusal = (ports: number[]) => world({ endpoints: [], spec: { ...spec, ports } }).ask()
  await expect(refusal([])).rejects.toMatchObject({
    code: 'instance_not_running',
    message: expect.stringContaining('rented without ports'),
  })
  await expect(refusal([8000])).rejects.toMatchObject({
    code: 'instance_not_running',
    message: expect.stringContaining('Look at its status'),
  })
})

test('a call has two minutes for its headers and for each silence', async () => {
  const { ask, http } = world()
  await ask()
  expect(http.calls[0]).toMatchObject({ headersTimeoutMs: 120_000, idleTimeoutMs: 120_000, anyEncoding: true })
})

test('what is known of an instance is two seconds old at most', async () => {
  const { ask, clock, reads, set } = world()
  await ask()
  await ask()
  expect(reads()).toBe(1)
  set(undefined)
  await clock.advance(1_999)
  await ask()
  await clock.advance(1)
  await expect(ask()).rejects.toMatchObject({ code: 'instance_not_found' })
  expect(reads()).toBe(2)
})

test.each(['not-a-uuid', '', `${id}/..`])('%j is no id that the database is asked for', async (wrong) => {
  const { ask, reads } = world()
  await expect(ask({}, 'a', wrong)).rejects.toMatchObject({ code: 'instance_not_found' })
  expect(reads()).toBe(0)
})

test('of another account, or gone, it is not there; in any other state it does not run', async () => {
  await expect(world().ask({}, 'b')).rejects.toMatchObject({ code: 'instance_not_found' })
  await expect(world({ state: 'gone' }).ask()).rejects.toMatchObject({ code: 'instance_not_found' })
  for (const state of [
    'intended',
    'creating',
    'unknown',
    'starting',
    'stopping',
    'stopped',
    'ending',
    'failed',
  ] as const) {
    const { ask, join, http } = world({ state })
    await expect(ask()).rejects.toMatchObject({ code: 'instance_not_running' })
    await expect(join()).rejects.toMatchObject({ code: 'instance_not_running' })
    expect(http.calls).toEqual([])
  }
})

test.each<[HttpFailureKind, string]>([
  ['not_sent', 'instance_unreachable'],
  ['connect_timeout', 'instance_unreachable'],
  ['reset', 'instance_unreachable'],
  ['malformed', 'instance_unreachable'],
  ['headers_timeout', 'headers_timeout'],
])('where it ends with %s, the caller hears %s', async (kind, code) => {
  const { ask, http } = world()
  http.script(new HttpFailure(kind))
  await expect(ask()).rejects.toMatchObject({ code })
  const { join } = world({}, async () => {
    throw new HttpFailure(kind)
  })
  await expect(join()).rejects.toMatchObject({ code })
})

test('where the caller’s own body is what failed, that is said', async () => {
  const { ask, http } = world()
  http.script(new HttpFailure('reset', { cause: new ApiError('body_timeout') }))
  await expect(ask()).rejects.toMatchObject({ code: 'body_timeout' })
})

test('a call that waits ends with its caller, and with its rental', async () => {
  const one = world()
  one.http.script('silence')
  const left = expect(one.ask()).rejects.toMatchObject({ code: 'client_closed' })
  await one.clock.advance(1)
  one.leaving.abort('gone')
  await left
  const other = world()
  other.http.script('silence')
  const ended = expect(other.ask()).rejects.toMatchObject({ code: 'instance_not_running' })
  await other.clock.advance(1)
  other.set(undefined)
  await other.clock.advance(2_000)
  await ended
})
