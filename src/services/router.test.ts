import { describe, expect, it } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import type { ModelProvider } from '../providers/openai.ts'
import type { OwnRows } from '../routing/plan.ts'
import { noTimeouts, type RoutingTable, type TargetRow } from '../routing/table.ts'
import { createFirstToken } from '../upstream/first-token.ts'
import type { Circuit } from '../upstream/upstream.ts'
import { createRouter } from './router.ts'

const provider = (name: string, circuit = name) =>
  ({
    name,
    hasCredential: () => true,
    upstream: {
      bulkhead: { inUse: 0 },
      circuit: () => ({ breaker: { refusesForMs: () => 0 }, firstToken: createFirstToken({ clock: new FakeClock() }) }),
      silentForMs: () => 0,
      circuitName: () => `${circuit}:other`,
    },
  }) as unknown as ModelProvider
const target = (fields: Partial<TargetRow>) =>
  ({ priority: 0, weight: 1, when: {}, price: {}, timeouts: noTimeouts, ...fields }) as TargetRow
const table: RoutingTable = {
  providers: new Map([['openai', { name: 'openai', kind: 'openai', baseUrl: 'http://a', apiKeys: [], headers: {} }]]),
  models: new Map([['*', { name: '*', strategy: 'priority', targets: [target({ provider: 'openai' })] }]]),
}
const mine: OwnRows = new Map([
  [
    'mine',
    {
      row: { name: 'mine', strategy: 'least_busy', targets: [target({ provider: 'rented/1', model: 'llama' })] },
      next: ['llama', 'gpt'],
    },
  ],
])
const router = createRouter({
  random: () => 0,
  table,
  createProvider: ({ name }) => provider(name),
  own: {
    rowsOf: (accountId) => (accountId === 'owner' ? mine : undefined),
    provider: (name) => (name === 'rented/1' ? provider('rented') : undefined),
  },
})
const question = { models: ['mine'], metadata: {}, needs: [] }
const choose = (accountId: string, allowedModels?: string[]) =>
  router
    .choose(question, { accountId, allowedModels })
    .map(({ provider: { name }, planned }) => `${name} ${planned.model}`)

describe("an account's own machines", () => {
  it('are tried for it alone', () => {
    expect(choose('owner')).toEqual(['rented llama', 'openai llama', 'openai gpt'])
    expect(choose('stranger')).toEqual(['openai mine'])
  })

  it('leave the last try to what is bought, and take all of them where nothing is', () => {
    const machines = ['1', '2', '3', '4'].map((id) => target({ provider: `rented/${id}`, model: 'llama' }))
    const rowsOf = (next: string[]): OwnRows =>
      new Map([['mine', { row: { name: 'mine', strategy: 'least_busy', targets: machines }, next }]])
    const routerOf = (next: string[], maxAttempts?: number) =>
      createRouter({
        random: () => 0,
        table: next.length > 0 ? table : { ...table, models: new Map() },
        createProvider: ({ name }) => provider(name),
        own: { rowsOf: () => rowsOf(next), provider: (name) => provider(name) },
        ...(maxAttempts !== undefined && { maxAttempts }),
      })
    const chosen = (next: string[], maxAttempts?: number) => {
      const router = routerOf(next, maxAttempts)
      const explained = router.explain({ model: 'mine' }, { accountId: 'owner' }).plan.map(({ provider }) => provider)
      const names = router.choose(question, { accountId: 'owner' }).map(({ provider: { name } }) => name)
      expect(explained).toEqual(names)
      return names
    }
    expect(chosen(['gpt'], 3)).toEqual(['rented/1', 'rented/2', 'openai'])
    expect(chosen(['gpt'], 1)).toEqual(['rented/1', 'openai'])
    expect(chosen(['gpt'])).toEqual(['rented/1', 'rented/2', 'rented/3', 'rented/4', 'openai'])
    expect(chosen([], 3)).toEqual(['rented/1', 'rented/2', 'rented/3', 'rented/4'])
  })

  it('lead no key to models that it may not ask for', () => {
    expect(choose('owner', ['mine'])).toEqual(['rented llama'])
    expect(choose('owner', ['mine', 'gpt'])).toEqual(['rented llama', 'openai gpt'])
  })

  it('are waited for where none answers and nobody else may', () => {
    const router = createRouter({
      random: () => 0,
      table: { ...table, models: new Map() },
      createProvider: ({ name }) => provider(name),
      own: {
        rowsOf: () =>
          new Map([['mine', { row: { name: 'mine', strategy: 'least_busy', targets: [] }, next: ['llama'] }]]),
        provider: () => undefined,
      },
    })
    const caller = { accountId: 'owner' }
    expect(() => router.choose(question, caller)).toThrow(expect.objectContaining({ code: 'upstream_unavailable' }))
    const other = { ...question, models: ['other'] }
    expect(() => router.choose(other, caller)).toThrow(expect.objectContaining({ code: 'model_not_found' }))
  })

  it('are in the explanation, and may be assumed to be open', () => {
    const explain = (body: object) => router.explain({ model: 'mine', ...body }, { accountId: 'owner' }).plan
    expect(explain({}).map(({ provider: name, use }) => `${name} ${use}`)).toEqual([
      'rented/1 true',
      'openai true',
      'openai true',
    ])
    expect(explain({ assume: { open: ['rented:other'] } })[0]).toMatchObject({ provider: 'rented/1', use: false })
  })

  it('are not explained for what a call would refuse', () => {
    const explain = (body: object) => router.explain({ model: 'mine', ...body }, { accountId: 'owner' })
    expect(() => explain({ previous_response_id: 'resp_1' })).toThrow(
      expect.objectContaining({ code: 'stored_state_unsupported' }),
    )
    expect(() => explain({ messages: [{ role: 'user', content: [{ file_id: 'file-1' }] }] })).toThrow(
      expect.objectContaining({ code: 'stored_state_unsupported' }),
    )
    expect(explain({ store: true }).plan).toHaveLength(3)
  })

  it('are named with the rows that a request may lead to', () => {
    const names = (accountId: string) => router.rowsFor('mine', { accountId }).map(([name]) => name)
    expect(names('owner')).toEqual(['mine', 'llama', 'gpt'])
    expect(names('stranger')).toEqual(['mine'])
  })
})

describe('the fastest first', () => {
  it('sends one request to see how fast those are that were slow a minute ago, which an explanation does not', async () => {
    const clock = new FakeClock()
    const firstTokens = { slow: createFirstToken({ clock }), fast: createFirstToken({ clock }) }
    const targets = [target({ provider: 'slow' }), target({ provider: 'fast' })]
    const router = createRouter({
      random: () => 0,
      table: {
        providers: new Map(
          ['slow', 'fast'].map((name) => [
            name,
            { name, kind: 'openai', baseUrl: 'http://a', apiKeys: [], headers: {} },
          ]),
        ),
        models: new Map([['m', { name: 'm', strategy: 'latency', targets }]]),
      },
      createProvider({ name }) {
        const made = provider(name)
        const firstToken = firstTokens[name as keyof typeof firstTokens]
        made.upstream.circuit = () => ({ breaker: { refusesForMs: () => 0 }, firstToken }) as unknown as Circuit
        return made
      },
    })
    const caller = { accountId: 'somebody' }
    const first = () => router.choose({ models: ['m'], metadata: {}, needs: [] }, caller)[0]?.provider.name
    const explained = () => router.explain({ model: 'm' }, caller).plan[0]?.provider
    firstTokens.slow.began(8_000)
    await clock.advance(60_000)
    firstTokens.fast.began(100)
    expect([explained(), explained(), first(), first(), explained()]).toEqual(['slow', 'slow', 'slow', 'fast', 'fast'])
    firstTokens.slow.began(50)
    expect(first()).toBe('slow')
  })
})
