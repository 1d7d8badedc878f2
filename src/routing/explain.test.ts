import { describe, expect, it } from 'vitest'
import type { ApiError } from '../errors.ts'
import { explainRoute } from './explain.ts'
import { parseRoutingTable } from './parse-table.ts'
import { planRoute, type RouteState } from './plan.ts'

const table = parseRoutingTable({
  providers: { a: { kind: 'openai', base_url: 'http://a' }, b: { kind: 'openai', base_url: 'http://b' } },
  models: { m: { targets: [{ provider: 'a' }, { provider: 'b', model: 'x' }] }, '*': { targets: [{ provider: 'a' }] } },
})
const state: RouteState = {
  random: () => 0,
  inFlight: () => 0,
  firstTokenMs: () => undefined,
  openForMs: (provider) => (provider === 'b' ? 4_000 : 0),
  silentForMs: () => 0,
}
const circuitName = (provider: string, model: string) => (model === 'm' ? `${provider}:m` : `${provider}:other`)
const explain = (body: Record<string, unknown>) => explainRoute(table, body, { state, circuitName }).plan

describe('an explanation', () => {
  it('is the plan of the live path', () => {
    expect(explain({ model: 'm' })).toEqual(
      planRoute(table, { models: ['m'], metadata: {}, needs: [] }, state).map(({ provider, model, use, reason }) => ({
        provider,
        model,
        use,
        reason,
      })),
    )
    expect(explain({ model: 'm' }).map(({ use }) => use)).toEqual([true, false])
  })

  it('tells who answers nobody, and goes last', () => {
    const silent: RouteState = {
      ...state,
      openForMs: () => 0,
      silentForMs: (provider) => (provider === 'a' ? 1_250 : 0),
    }
    expect(explainRoute(table, { model: 'm' }, { state: silent, circuitName }).plan).toEqual([
      { provider: 'b', model: 'x', use: true, reason: 'priority 1 for m.' },
      {
        ...{ provider: 'a', model: 'm', use: true },
        reason: 'priority 0 for m; last, since nobody has been answered there for 1.3 s.',
      },
    ])
  })

  it('takes circuits for open that are assumed to be', () => {
    expect(explain({ model: 'm', assume: { open: ['a:m'] } })[0]).toEqual({
      provider: 'a',
      model: 'm',
      use: false,
      reason: 'priority 0 for m; skipped: circuit open.',
    })
    expect(explain({ model: 'q', assume: { open: ['a:m'] } })).toMatchObject([{ model: 'q', use: true }])
    expect(explain({ model: 'q', assume: { open: ['a:other'] } })).toMatchObject([{ model: 'q', use: false }])
  })

  it.each([
    [{ assume: 'a:m' }, 'assume'],
    [{ assume: ['a:m'] }, 'assume'],
    [{ assume: { open: 'a:m' } }, 'assume.open'],
    [{ assume: { open: [7] } }, 'assume.open'],
    [{ assume: { open: Array(65).fill('a:m') } }, 'assume.open'],
    [{ assume: { closed: [] } }, 'assume.closed'],
    [{ assume: { open: [] }, fallbacks: 7 }, 'fallbacks'],
  ])('refuses %j, naming the field', (body, param) => {
    expect(() => explain({ model: 'm', ...body })).toThrow(
      expect.objectContaining({ code: 'invalid_body', options: expect.objectContaining({ param }) }) as ApiError,
    )
  })
})
