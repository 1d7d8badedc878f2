import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { eventually } from '../../tests/support/gateway.ts'
import { type Sandbox, startSandbox } from './sandbox.ts'

let sandbox: Sandbox
let billing: NonNullable<Sandbox['billing']>
beforeAll(async () => {
  sandbox = await startSandbox({ clock, random: Math.random, servers: ['billing'], keys: { billing: 'right' } })
  billing = sandbox.billing!
})
afterEach(() => billing.setFaults([]))
afterAll(() => sandbox.close())

const charge = (own: object = {}) => {
  const id = randomUUID()
  return {
    id,
    account: randomUUID(),
    amount_micro_usd: 5,
    currency: 'USD',
    occurred_at: '2026-11-25T12:00:00.000Z',
    detail: { operations: [{ id, amount_micro_usd: 5 }] },
    ...own,
  }
}
async function tell(body: { id: string }, headers: Record<string, string> = {}, signal?: AbortSignal) {
  const response = await fetch(`${billing.baseUrl}/v1/charges`, {
    method: 'POST',
    headers: {
      authorization: 'Bearer right',
      'content-type': 'application/json',
      'idempotency-key': body.id,
      ...headers,
    },
    body: JSON.stringify(body),
    ...(signal && { signal }),
  })
  return { status: response.status, json: (await response.json()) as ReturnType<typeof JSON.parse> }
}
const madeOf = (id: string) => billing.charges.filter((made) => made.id === id)

describe('the billing system', () => {
  it('makes a charge once and answers the same however often it is told', async () => {
    const body = charge()
    const first = await tell(body)
    expect(first).toEqual({ status: 200, json: { transaction_id: expect.stringMatching(/^tx_/) } })
    expect(await tell(body)).toEqual(first)
    expect(madeOf(body.id)).toMatchObject([{ told: 2, amount_micro_usd: 5, account: body.account }])
    expect((await tell(charge())).json).not.toEqual(first.json)
  })

  it('refuses other content under the same id, and keeps what it has', async () => {
    const body = charge()
    await tell(body)
    const other = { ...body, amount_micro_usd: 6, detail: { operations: [{ id: body.id, amount_micro_usd: 6 }] } }
    expect(await tell(other)).toMatchObject({ status: 409, json: { error: { code: 'charge_exists' } } })
    expect(madeOf(body.id)).toMatchObject([{ amount_micro_usd: 5 }])
  })

  it.each<[string, object]>([
    ['another currency', { currency: 'EUR' }],
    ['no amount', { amount_micro_usd: 0 }],
    ['an amount that is not the sum', { amount_micro_usd: 6 }],
    ['no operations', { detail: { operations: [] } }],
    ['a time that is none', { occurred_at: 'yesterday' }],
    ['an account that is none', { account: 'me' }],
  ])('refuses a charge with %s', async (_what, own) => {
    const body = charge(own)
    expect(await tell(body)).toMatchObject({ status: 422, json: { error: { code: 'invalid_charge' } } })
    expect(madeOf(body.id)).toEqual([])
  })

  it('refuses a wrong key, another Idempotency-Key than the id, and forms', async () => {
    expect((await tell(charge(), { authorization: 'Bearer wrong' })).status).toBe(401)
    expect((await tell(charge(), { 'idempotency-key': randomUUID() })).status).toBe(400)
    expect((await tell(charge(), { 'content-type': 'text/plain' })).status).toBe(415)
  })

  it('can charge and never say so', async () => {
    billing.setFaults([{ kind: 'swallow_reply', times: 1 }])
    const body = charge()
    await expect(tell(body)).rejects.toThrow()
    expect(madeOf(body.id)).toMatchObject([{ told: 1 }])
    expect((await tell(body)).status).toBe(200)
    expect(madeOf(body.id)).toMatchObject([{ told: 2 }])
  })

  it('can charge and fall silent', async () => {
    billing.setFaults([{ kind: 'swallow_reply', instead: 'hang', times: 1 }])
    const body = charge()
    const leaving = new AbortController()
    const silent = expect(tell(body, {}, leaving.signal)).rejects.toThrow()
    await eventually(() => madeOf(body.id).length === 1)
    leaving.abort()
    await silent
    expect((await tell(body)).status).toBe(200)
    expect(madeOf(body.id)).toMatchObject([{ told: 2 }])
  })

  it('can be out of order without charging', async () => {
    billing.setFaults([{ kind: 'status', status: 422, code: 'unknown_account', times: 1 }])
    const body = charge()
    expect(await tell(body)).toMatchObject({ status: 422, json: { error: { code: 'unknown_account' } } })
    expect(madeOf(body.id)).toEqual([])
  })
})
