import { expect, test } from 'vitest'
import type { Scripted } from '../../tests/support/fake-http.ts'
import { restProvider } from '../../tests/support/rest-provider.ts'
import type { Charge } from '../domain/charge.ts'
import { HttpFailure } from '../ports.ts'
import { createBilling } from './billing.ts'

function world(...script: Scripted[]) {
  const { options, ...rest } = restProvider('billing', ...script)
  const billing = createBilling(options)
  return { ...rest, charge: () => billing.charge(charge, new AbortController().signal) }
}

const charge: Charge = {
  id: '0198c0de-0000-7000-8000-000000000001',
  accountId: '0198c0de-0000-7000-8000-00000000000a',
  amount: 12,
  occurredAt: new Date('2026-11-25T12:00:00.007Z'),
  operations: [
    { id: '0198c0de-0000-7000-8000-000000000001', amount: 5 },
    { id: '0198c0de-0000-7000-8000-000000000002', amount: 7 },
  ],
}
const ok = { body: { transaction_id: 'tx_1', more: true } }

test('a charge is told as the contract says', async () => {
  const { http, charge } = world(ok)
  expect(await charge()).toEqual({ transactionId: 'tx_1' })
  const [call] = http.calls
  expect(call).toMatchObject({
    method: 'POST',
    origin: 'http://billing',
    path: '/v1/charges',
    headers: {
      authorization: 'Bearer the key',
      'content-type': 'application/json',
      'idempotency-key': '0198c0de-0000-7000-8000-000000000001',
    },
  })
  expect(JSON.parse(String(call!.body))).toEqual({
    id: '0198c0de-0000-7000-8000-000000000001',
    account: '0198c0de-0000-7000-8000-00000000000a',
    amount_micro_usd: 12,
    currency: 'USD',
    occurred_at: '2026-11-25T12:00:00.007Z',
    detail: {
      operations: [
        { id: '0198c0de-0000-7000-8000-000000000001', amount_micro_usd: 5 },
        { id: '0198c0de-0000-7000-8000-000000000002', amount_micro_usd: 7 },
      ],
    },
  })
})

test.each([400, 402, 409, 410, 413, 422])(
  'a %i is about the charge, and told with the reason by name alone',
  async (status) => {
    const { http, charge } = world({ status, body: { error: { code: 'unknown_account', message: 'secret words' } } })
    expect(await charge()).toEqual({ refused: `${status} unknown_account` })
    expect(http.calls).toHaveLength(1)
  },
)

test('a refusal without a readable reason is a refusal all the same', async () => {
  expect(await world({ status: 422, body: 'not json' }).charge()).toEqual({ refused: '422' })
  expect(await world({ status: 422, body: { error: { code: 'with spaces' } } }).charge()).toEqual({ refused: '422' })
})

test.each([401, 403, 404, 405])('a %i is about us: nothing is refused for it', async (status) => {
  await expect(world({ status }).charge()).rejects.toMatchObject({ class: 'config', details: { status } })
})

test.each<[string, Scripted]>([
  ['a 500', { status: 500 }],
  ['a 408', { status: 408 }],
  ['a 425', { status: 425 }],
  ['a reset', new HttpFailure('reset')],
  ['an answer without a transaction', { body: {} }],
  ['a page of HTML', { body: '<html>' }],
  ['an empty 204', { status: 204 }],
])('%s is told again, under the same key and word for word', async (_what, first) => {
  const { http, clock, charge } = world(first, ok)
  const answer = charge()
  await clock.advance(20_000)
  expect(await answer).toEqual({ transactionId: 'tx_1' })
  const [before, after] = http.calls
  expect(after).toMatchObject({ body: before!.body, headers: before!.headers })
})

test('a system that is silent fails in time, and its breaker is called billing', async () => {
  const { clock, upstream, charge } = world('silence')
  const failed = expect(charge()).rejects.toMatchObject({ class: 'silent' })
  await clock.advance(30_000)
  await failed
  expect([...upstream.circuits()].map(({ name }) => name)).toEqual(['billing'])
})
