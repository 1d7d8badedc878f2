import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../tests/support/seeded-random.ts'
import { planRoute, type RouteQuestion, type RouteState } from './plan.ts'
import { priceOf } from './prices.ts'
import { defaultTable, type ModelRow, noTimeouts, type RoutingTable, strategies, type TargetRow } from './table.ts'

const target = (fields: Partial<TargetRow> = {}): TargetRow => ({
  provider: 'a',
  model: undefined,
  priority: 0,
  weight: 1,
  when: {},
  price: priceOf({}, []),
  contextWindow: undefined,
  capabilities: undefined,
  prefill: undefined,
  timeouts: noTimeouts,
  ...fields,
})
const row = (name: string, strategy: ModelRow['strategy'], ...targets: TargetRow[]): ModelRow => ({
  name,
  strategy,
  targets,
})
const tableOf = (...rows: ModelRow[]): RoutingTable => ({
  providers: new Map(),
  models: new Map(rows.map((one) => [one.name, one])),
})
const ask = (models: string[], more: Partial<RouteQuestion> = {}): RouteQuestion => ({
  models,
  metadata: {},
  needs: [],
  ...more,
})
const quiet = (more: Partial<RouteState> = {}): RouteState => ({
  random: seededRandom(1),
  inFlight: () => 0,
  firstTokenMs: () => undefined,
  openForMs: () => 0,
  silentForMs: () => 0,
  ...more,
})
const order = (table: RoutingTable, question: RouteQuestion, state = quiet()) =>
  planRoute(table, question, state).map(({ provider, model }) => `${provider}/${model}`)
const reasons = (table: RoutingTable, question: RouteQuestion, state = quiet()) =>
  planRoute(table, question, state).map(({ use, reason }) => `${use ? 'use' : 'skip'}: ${reason}`)

describe('the targets of a model', () => {
  it('are asked for the name they have at the provider, else for the one that was asked for', () => {
    const table = tableOf(row('m', 'priority', target({ model: 'own' }), target({ provider: 'b', priority: 1 })))
    expect(order(table, ask(['m']))).toEqual(['a/own', 'b/m'])
    expect(planRoute(table, ask(['m']), quiet())[1]).toMatchObject({ askedAs: 'm', use: true })
  })

  it('are those of * for a name that has no row, under that name and at its price', () => {
    const table = defaultTable([{ name: 'a', kind: 'openai', baseUrl: 'http://h', apiKeys: [], headers: {} }], ['a'])
    expect(planRoute(table, ask(['gpt-4o']), quiet())).toMatchObject([
      {
        provider: 'a',
        model: 'gpt-4o',
        askedAs: 'gpt-4o',
        reason: 'priority 0 for any model, asked for gpt-4o.',
        row: { price: priceOf({}, ['gpt-4o']), contextWindow: 128_000 },
      },
    ])
  })

  it('are none for a name that has no row, where there is no *', () => {
    expect(planRoute(tableOf(), ask(['m']), quiet())).toEqual([])
  })

  it('come before those of the fallbacks, and one that both name stands once', () => {
    const table = tableOf(
      row('m', 'priority', target({ model: 'x' }), target({ provider: 'b', model: 'x', priority: 1 })),
      row('n', 'priority', target({ provider: 'b', model: 'x' }), target({ provider: 'c', priority: 1 })),
    )
    expect(order(table, ask(['m', 'n', 'm', 'nobody']))).toEqual(['a/x', 'b/x', 'c/n'])
  })
})

describe('by priority', () => {
  it('lower comes first, wherever it stands in the file', () => {
    const table = tableOf(row('m', 'priority', target({ priority: 5 }), target({ provider: 'b', priority: 2 })))
    expect(order(table, ask(['m']))).toEqual(['b/m', 'a/m'])
  })
})

describe('equal priorities, and the strategy "weighted",', () => {
  it.each(['priority', 'weighted'] as const)('share by weight over many draws (%s)', (strategy) => {
    const table = tableOf(
      row(
        'm',
        strategy,
        target({ weight: 6 }),
        target({ provider: 'b', weight: 3 }),
        target({ provider: 'c', weight: 1 }),
      ),
    )
    const state = quiet({ random: seededRandom(42) })
    const first: Record<string, number> = {}
    const afterA: Record<string, number> = {}
    const draws = 20_000
    for (let i = 0; i < draws; i++) {
      const [one, two] = order(table, ask(['m']), state)
      first[one!] = (first[one!] ?? 0) + 1 / draws
      if (one === 'a/m') afterA[two!] = (afterA[two!] ?? 0) + 1
    }
    expect(first['a/m']).toBeCloseTo(0.6, 1.5)
    expect(first['b/m']).toBeCloseTo(0.3, 1.5)
    expect(first['c/m']).toBeCloseTo(0.1, 1.5)
    // Drawn without replacement: the rest share what is left by their weights, 3 to 1.
    expect(afterA['b/m']! / afterA['c/m']!).toBeGreaterThan(2.7)
    expect(afterA['b/m']! / afterA['c/m']!).toBeLessThan(3.3)
  })

  it('say the share', () => {
    const table = tableOf(row('m', 'weighted', target({ weight: 2 }), target({ provider: 'b' })))
    expect(reasons(table, ask(['m'])).sort()).toEqual([
      'use: drawn for m by weight 1 of 3.',
      'use: drawn for m by weight 2 of 3.',
    ])
  })
})

describe('the strategy', () => {
  const three = (strategy: ModelRow['strategy'], ...fields: Partial<TargetRow>[]) =>
    tableOf(
      row('m', strategy, ...['a', 'b', 'c'].map((provider, i) => target({ provider, priority: i, ...fields[i] }))),
    )

  it('least_busy takes the fewest calls under way for its weight, and the file decides between equals', () => {
    const table = three('least_busy', {}, { weight: 4 }, {})
    const inFlight = (provider: string) => ({ a: 2, b: 6, c: 2 })[provider]!
    expect(order(table, ask(['m']), quiet({ inFlight }))).toEqual(['b/m', 'a/m', 'c/m'])
    expect(order(table, ask(['m']))).toEqual(['a/m', 'b/m', 'c/m'])
  })

  it('latency takes the unmeasured first, then the fastest', () => {
    const firstTokenMs = (provider: string, model: string) =>
      model === 'm' ? { a: 300, b: 120.4, c: undefined }[provider] : 0
    expect(order(three('latency'), ask(['m']), quiet({ firstTokenMs }))).toEqual(['c/m', 'b/m', 'a/m'])
    expect(reasons(three('latency'), ask(['m']), quiet({ firstTokenMs }))).toEqual([
      'use: fastest first for m: not measured lately, so it goes first.',
      'use: fastest first for m: first token in 120 ms.',
      'use: fastest first for m: first token in 300 ms.',
    ])
  })

  it('cost takes the cheapest at three tokens in to one out', () => {
    const price = (inputPerMillion: number, outputPerMillion: number) => ({
      price: priceOf({ inputPerMillion, outputPerMillion }, []),
    })
    const table = three('cost', price(1_000_000, 4_000_000), price(1_500_000, 1_500_000), price(1_500_000, 1_500_000))
    expect(order(table, ask(['m']))).toEqual(['b/m', 'c/m', 'a/m'])
    expect(reasons(table, ask(['m']))[0]).toContain('$1.5000 per million tokens')
  })
})

describe('a target that cannot help', () => {
  const gold = target({ when: { tier: ['gold', 'silver'] } })

  it('is skipped where the metadata do not meet its condition', () => {
    const table = tableOf(row('m', 'priority', gold, target({ provider: 'b', priority: 1 })))
    const skip = 'skip: priority 0 for m; skipped: only where metadata.tier is gold or silver.'
    expect(reasons(table, ask(['m']))[0]).toBe(skip)
    expect(reasons(table, ask(['m'], { metadata: { tier: 'bronze' } }))[0]).toBe(skip)
    expect(reasons(table, ask(['m'], { metadata: { tier: 'silver' } }))[0]).toBe('use: priority 0 for m.')
    const inherited = tableOf(row('m', 'priority', target({ when: { constructor: ['x'] } })))
    expect(planRoute(inherited, ask(['m']), quiet())[0]?.use).toBe(false)
  })

  it('is skipped where it is known to lack what the request needs', () => {
    const table = tableOf(
      row('m', 'priority', target({ capabilities: ['tools'] }), target({ provider: 'b', priority: 1 })),
    )
    expect(reasons(table, ask(['m'], { needs: ['tools', 'images', 'audio'] }))).toEqual([
      'skip: priority 0 for m; skipped: it cannot do images, audio.',
      'use: priority 1 for m.',
    ])
    expect(reasons(table, ask(['m'], { needs: ['tools'] }))[0]).toMatch(/^use/)
  })

  it('keeps its place while its circuit is open, and says when the next trial is', () => {
    const table = tableOf(row('m', 'priority', target(), target({ provider: 'b', priority: 1 })))
    const openForMs = (provider: string) => (provider === 'a' ? 11_400 : 0)
    expect(reasons(table, ask(['m']), quiet({ openForMs }))).toEqual([
      'skip: priority 0 for m; skipped: circuit open, next trial in 12 s.',
      'use: priority 1 for m.',
    ])
    const held = quiet({ openForMs: () => Number.POSITIVE_INFINITY })
    expect(reasons(table, ask(['m']), held)[0]).toBe('skip: priority 0 for m; skipped: circuit open.')
  })

  it('gives way to the place where the same target fits', () => {
    const table = tableOf(
      row('m', 'priority', { ...gold, model: 'x' }, target({ provider: 'b', priority: 1 })),
      row('n', 'priority', target({ model: 'x' })),
    )
    expect(order(table, ask(['m', 'n']))).toEqual(['b/m', 'a/x'])
    expect(reasons(table, ask(['m', 'n']))).toEqual(['use: priority 1 for m.', 'use: priority 0 for n.'])
    expect(order(table, ask(['m', 'n'], { metadata: { tier: 'gold' } }))).toEqual(['a/x', 'b/m'])
  })

  it('does not take the place of one that can help, in a plan of at most sixteen', () => {
    const rows = Array.from({ length: 9 }, (_, i) =>
      row(
        `m${i}`,
        'priority',
        target({ ...(i < 5 && { when: { x: ['y'] } }) }),
        target({ provider: 'b', priority: 1 }),
      ),
    )
    const table = tableOf(...rows)
    const names = rows.map(({ name }) => name)
    const plan = planRoute(table, ask(names), quiet())
    expect(plan).toHaveLength(16)
    expect(plan.filter(({ use }) => use)).toHaveLength(13)
    expect(planRoute(table, ask(names), quiet({ openForMs: () => 1 }))).toHaveLength(16)
  })
})

describe('any plan', () => {
  const providers = ['a', 'b', 'c', 'd']
  const anyTarget = fc
    .record({
      provider: fc.constantFrom(...providers),
      model: fc.constantFrom(undefined, 'x', 'y'),
      priority: fc.nat(3),
      weight: fc.constantFrom(0.5, 1, 4),
      when: fc.constantFrom({}, { tier: ['gold'] }),
      capabilities: fc.constantFrom(undefined, [], ['tools' as const]),
    })
    .map(target)
  const anyRow = (name: string) =>
    fc
      .tuple(fc.constantFrom(...strategies), fc.array(anyTarget, { minLength: 1, maxLength: 4 }))
      .map(([strategy, targets]) => row(name, strategy, ...targets))
  const anyCase = fc.record({
    table: fc.tuple(anyRow('m'), anyRow('n'), anyRow('*')).map((rows) => tableOf(...rows)),
    question: fc.record({
      models: fc.array(fc.constantFrom('m', 'n', 'p'), { minLength: 1, maxLength: 3 }),
      metadata: fc.constantFrom({}, { tier: 'gold' }),
      needs: fc.constantFrom([], ['tools' as const]),
    }),
    seed: fc.nat(),
    open: fc.subarray(providers),
  })
  const stateOf = (seed: number, open: string[]) =>
    quiet({
      random: seededRandom(seed),
      inFlight: (provider) => seed % (provider.charCodeAt(0) - 90),
      firstTokenMs: (provider) => (provider === 'd' ? undefined : seed % provider.charCodeAt(0)),
      openForMs: (provider) => (open.includes(provider) ? 5_000 : 0),
    })

  it('holds each target that fits exactly once, and uses it unless its circuit is open', () => {
    fc.assert(
      fc.property(anyCase, ({ table, question, seed, open }) => {
        const plan = planRoute(table, question, stateOf(seed, open))
        const fitting = new Set<string>()
        for (const asked of question.models) {
          for (const one of (table.models.get(asked) ?? table.models.get('*'))!.targets) {
            const met = !one.when.tier || question.metadata.tier === 'gold'
            const able = !one.capabilities || question.needs.every((need) => one.capabilities!.includes(need))
            if (met && able) fitting.add(`${one.provider}/${one.model ?? asked}`)
          }
        }
        const names = plan.map(({ provider, model }) => `${provider}/${model}`)
        expect(new Set(names).size).toBe(names.length)
        const used = plan.filter(({ use }) => use).map(({ provider, model }) => `${provider}/${model}`)
        expect(new Set(used)).toEqual(new Set([...fitting].filter((name) => !open.includes(name[0]!))))
        for (const name of fitting) expect(names).toContain(name)
      }),
    )
  })

  it('keeps the order of models, and within a model of priorities', () => {
    fc.assert(
      fc.property(anyCase, ({ table, question, seed, open }) => {
        const plan = planRoute(table, question, stateOf(seed, open))
        const models: string[] = question.models
        const positions = plan.map(({ askedAs }) => models.indexOf(askedAs))
        expect(positions).toEqual([...positions].sort((a, b) => a - b))
        for (const asked of question.models) {
          if ((table.models.get(asked) ?? table.models.get('*'))?.strategy !== 'priority') continue
          const priorities = plan.filter(({ askedAs }) => askedAs === asked).map(({ row }) => row.priority)
          expect(priorities).toEqual([...priorities].sort((a, b) => a - b))
        }
      }),
    )
  })

  it('puts those last that are silent, and changes nothing else', () => {
    fc.assert(
      fc.property(anyCase, fc.subarray(providers), ({ table, question, seed, open }, silent) => {
        const silentForMs = (provider: string) => (silent.includes(provider) ? 1_500 : 0)
        const names = (state: RouteState) =>
          planRoute(table, question, state).map(({ provider, model, use }) => ({ provider, model, use }))
        const usual = names(stateOf(seed, open))
        const isLast = ({ provider, use }: { provider: string; use: boolean }) => use && silent.includes(provider)
        const wanted = [...usual.filter((one) => !isLast(one)), ...usual.filter(isLast)]
        expect(names({ ...stateOf(seed, open), silentForMs })).toEqual(wanted)
      }),
    )
  })

  it('is the same for the same inputs, and changes none of them', () => {
    fc.assert(
      fc.property(anyCase, ({ table, question, seed, open }) => {
        const before = structuredClone({ models: [...table.models], question })
        const plan = planRoute(table, question, stateOf(seed, open))
        expect(planRoute(table, question, stateOf(seed, open))).toEqual(plan)
        expect({ models: [...table.models], question }).toEqual(before)
      }),
    )
  })
})

describe("an account's own targets", () => {
  const rented = (...ids: string[]) =>
    row('mine', 'least_busy', ...ids.map((id) => target({ provider: `rented/${id}`, model: 'llama' })))
  const table = tableOf(row('llama', 'priority', target({ provider: 'bought' })), row('*', 'priority', target()))
  const own = new Map([['mine', { row: rented('1', '2'), next: ['llama', 'gpt'] }]])
  const planOf = (models: string[], state = quiet(), rows = own) =>
    planRoute(table, ask(models), state, rows).map(({ provider, model }) => `${provider}: ${model}`)

  it('come before those of the table, the least busy first', () => {
    const inFlight = (provider: string) => (provider === 'rented/1' ? 3 : 0)
    expect(planOf(['mine'], quiet({ inFlight }))).toEqual([
      'rented/2: llama',
      'rented/1: llama',
      'bought: llama',
      'a: gpt',
    ])
  })

  it("are followed by the caller's fallbacks", () => {
    expect(planOf(['mine', 'other'])).toEqual([
      'rented/1: llama',
      'rented/2: llama',
      'bought: llama',
      'a: gpt',
      'a: other',
    ])
  })

  it('are nothing to other names, nor to other accounts', () => {
    expect(planOf(['llama'])).toEqual(['bought: llama'])
    expect(planOf(['mine'], quiet(), new Map())).toEqual(['a: mine'])
  })

  it('leave room for what is bought, and for nothing of their own keep its place', () => {
    const many = new Map([['mine', { row: rented(...'abcdefghijklmnop'), next: ['llama'] }]])
    expect(planOf(['mine'], quiet(), many)).toHaveLength(9)
    expect(planOf(['mine'], quiet(), new Map([['mine', { row: rented(), next: ['llama'] }]]))).toEqual([
      'bought: llama',
    ])
  })
})
