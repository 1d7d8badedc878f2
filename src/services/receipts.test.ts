import { expect, test } from 'vitest'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { idAt, receiptOf } from '../../tests/support/ledger-rows.ts'
import type { Principal } from '../domain/principal.ts'
import type { ApiError } from '../errors.ts'
import { createReceipts } from './receipts.ts'

const caller: Principal = {
  accountId: 'a',
  keyId: 'k',
  role: 'user',
  scopes: ['billing'],
  limits: { key: {}, account: {} },
}
const signature = { algorithm: 'Ed25519', key_id: 'k', value: 'v' } as const

function setUp({ foundAtLook = Infinity } = {}) {
  const clock = new FakeClock()
  let looks = 0
  const receipts = createReceipts({
    clock,
    statements: { receipt: async (_, id) => (++looks >= foundAtLook ? receiptOf(id) : undefined) },
    signer: {
      sign: async (receipt) => ({ ...receipt, signature }),
      publicKey: () => Promise.reject(new Error('not asked for')),
    },
  })
  const leave = new AbortController()
  const find = (id: string) =>
    receipts.find(caller, id, leave.signal).then(
      ({ request_id }) => request_id,
      (error: ApiError) => error.code,
    )
  return { clock, find, leave, looks: () => looks }
}

test('a request of the last seconds is looked for during one second, and no longer', async () => {
  const { clock, find, looks } = setUp()
  const asked = find(idAt(clock.wallNow() - 4_000))
  await clock.advance(1_000)
  expect(await asked).toBe('receipt_not_found')
  expect(looks()).toBe(6)
  expect(clock.pendingTimers).toBe(0)
})

test('it is answered as soon as it is there', async () => {
  const { clock, find } = setUp({ foundAtLook: 3 })
  const id = idAt(clock.wallNow())
  const asked = find(id)
  await clock.advance(400)
  expect(await asked).toBe(id)
})

test.each([
  ['an older request', (now: number) => idAt(now - 6_000)],
  ['a request of the future', (now: number) => idAt(now + 6_000)],
  ['what is no id', () => 'x'],
])('%s is not waited for', async (_what, id) => {
  const { clock, find, looks } = setUp()
  expect(await find(id(clock.wallNow()))).toBe('receipt_not_found')
  expect(looks()).toBe(1)
})

test('who leaves leaves no timer', async () => {
  const { clock, find, leave } = setUp()
  const asked = find(idAt(clock.wallNow()))
  await settled()
  leave.abort()
  expect(await asked).toBe('client_closed')
  expect(clock.pendingTimers).toBe(0)
})

test('a hundred wait; one more is answered at once', async () => {
  const { clock, find } = setUp()
  const waiting = Array.from({ length: 100 }, () => find(idAt(clock.wallNow())))
  await settled()
  expect(await find(idAt(clock.wallNow()))).toBe('receipt_not_found')
  await clock.advance(1_000)
  expect(new Set(await Promise.all(waiting))).toEqual(new Set(['receipt_not_found']))
})
