import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { createMemoryBillingOutbox } from '../../adapters/memory/billing-outbox.ts'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { seededRandom } from '../../tests/support/seeded-random.ts'
import type { Charge } from '../domain/charge.ts'
import type { Billing } from '../providers/billing.ts'
import { instruments } from '../telemetry/instruments.ts'
import { UpstreamFailure } from '../upstream/outcome.ts'
import { createOutbox, type Outbox } from './outbox.ts'

const running: Outbox[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((outbox) => outbox.stop({ timeoutMs: 0 })))
})

function world({ pods = 1, random = () => 0.5 }: { pods?: number; random?: () => number } = {}) {
  const clock = new FakeClock()
  const store = createMemoryBillingOutbox({ clock })
  const metrics = new FakeMetrics()
  const mode = { readOnly: false }
  const lines: { level: string; message: string; [field: string]: unknown }[] = []
  const write =
    (level: string) =>
    (message: string, fields: object = {}) =>
      void lines.push({ level, message, ...fields })
  const log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
  const sent: Charge[] = []
  const w = {
    clock,
    store,
    metrics,
    mode,
    lines,
    sent,
    underWay: 0,
    mostUnderWay: 0,
    answer: async (charge: Charge, _signal: AbortSignal): ReturnType<Billing['charge']> => ({
      transactionId: `tx ${charge.id}`,
    }),
    outboxes: [] as Outbox[],
  }
  const billing: Billing = {
    async charge(charge, signal) {
      sent.push(charge)
      w.underWay++
      w.mostUnderWay = Math.max(w.mostUnderWay, w.underWay)
      try {
        return await w.answer(charge, signal)
      } finally {
        w.underWay--
      }
    },
  }
  for (let i = 0; i < pods; i++) {
    w.outboxes.push(createOutbox({ clock, random, newId: randomUUID, store, billing, mode, metrics, log }))
  }
  running.push(...w.outboxes)
  return w
}

const operations = (count: number, amount = 3) => Array.from({ length: count }, () => ({ id: randomUUID(), amount }))
const down = async () => {
  throw new UpstreamFailure('server', { status: 503 })
}

describe('what was used', () => {
  test('reaches the billing system in order, 500 operations a charge', async () => {
    const { store, clock, sent, metrics } = world()
    const accountId = randomUUID()
    const all = operations(1_100)
    for (const each of all) store.add(accountId, each)
    await clock.advance(2_000)
    expect(sent.map((charge) => charge.operations.length)).toEqual([500, 500, 100])
    expect(sent.flatMap((charge) => charge.operations)).toEqual(all)
    expect(await store.pending()).toBe(0)
    expect(metrics.counted(instruments.billingCharges, { result: 'delivered' })).toBe(3)
  })

  test('is told again under the same id and content until it is answered, and the next one waits', async () => {
    const w = world()
    const accountId = randomUUID()
    const [first, second] = [operations(1), operations(1)]
    w.answer = down
    w.store.add(accountId, first[0]!)
    await w.clock.advance(2_000)
    w.store.add(accountId, second[0]!)
    await w.clock.advance(120_000)
    expect(w.sent.length).toBeGreaterThan(2)
    expect(new Set(w.sent.map((charge) => JSON.stringify(charge))).size).toBe(1)
    w.answer = async () => ({ transactionId: 'tx' })
    await w.clock.advance(120_000)
    expect(w.store.finished.map(({ id }) => id)).toEqual([first[0]!.id, second[0]!.id])
    expect(w.lines.map(({ message }) => message)).toEqual([
      'the billing system does not take charges; they wait',
      'the billing system takes charges again',
    ])
    // It may be at this account alone that it fails.
    expect(w.lines[0]).toMatchObject({ account_id: accountId })
  })

  test('that was taken at last is no reason to wait long for what fails next', async () => {
    const w = world()
    const accountId = randomUUID()
    w.answer = down
    w.store.add(accountId, operations(1)[0]!)
    await w.clock.advance(300_000)
    w.answer = async () => ({ transactionId: 'tx' })
    await w.clock.advance(120_000)
    expect(w.store.finished).toHaveLength(1)
    w.answer = down
    const before = w.sent.length
    w.store.add(accountId, operations(1)[0]!)
    await w.clock.advance(10_000)
    expect(w.sent.length - before).toBeGreaterThanOrEqual(3)
  })

  test('that is refused is parked with an error in the log, and the account goes on', async () => {
    const w = world()
    const accountId = randomUUID()
    w.answer = async () => ({ refused: '422 unknown_account' })
    w.store.add(accountId, operations(1)[0]!)
    await w.clock.advance(2_000)
    w.answer = async () => ({ transactionId: 'tx' })
    w.store.add(accountId, operations(1)[0]!)
    await w.clock.advance(2_000)
    expect(w.store.finished.map(({ end }) => end)).toEqual([
      { state: 'parked', reason: '422 unknown_account' },
      { state: 'delivered', transactionId: 'tx' },
    ])
    expect(w.lines).toMatchObject([{ level: 'error', account_id: accountId }])
    expect(w.metrics.counted(instruments.billingCharges, { result: 'parked' })).toBe(1)
  })

  test('waits while nothing may be written, also in the middle of a backlog', async () => {
    const w = world()
    w.mode.readOnly = true
    const accountId = randomUUID()
    for (const each of operations(1_200)) w.store.add(accountId, each)
    await w.clock.advance(60_000)
    expect(w.sent).toEqual([])
    w.answer = async () => {
      w.mode.readOnly = true
      return { transactionId: 'tx' }
    }
    w.mode.readOnly = false
    await w.clock.advance(60_000)
    expect(w.sent).toHaveLength(1)
    expect(await w.store.pending()).toBe(700)
  })

  test('of an hour without the billing system is all delivered after it, at most eight accounts at once', async () => {
    const w = world()
    w.answer = down
    const accounts = Array.from({ length: 40 }, () => randomUUID())
    const all = new Map(accounts.map((accountId) => [accountId, [] as string[]]))
    for (let minute = 0; minute < 60; minute++) {
      for (const accountId of accounts) {
        const [operation] = operations(1)
        all.get(accountId)!.push(operation!.id)
        w.store.add(accountId, operation!)
      }
      await w.clock.advance(60_000)
    }
    const during = w.sent.length
    expect(during, 'tries of an account come once a minute or so at last').toBeLessThan(40 * 60 * 4)
    w.answer = async () => {
      await new Promise<void>((resolve) => void w.clock.setTimer(20, resolve))
      return { transactionId: 'tx' }
    }
    await w.clock.advance(5 * 60_000)
    expect(await w.store.pending()).toBe(0)
    expect(w.mostUnderWay).toBe(8)
    for (const [accountId, ids] of all) {
      const told = w.store.finished.filter((charge) => charge.accountId === accountId)
      expect(told.flatMap((charge) => charge.operations.map(({ id }) => id))).toEqual(ids)
    }
  })

  test('rests for all while our own breaker is open or the credential is refused, and no account is blamed', async () => {
    const w = world()
    w.answer = async () => {
      throw new UpstreamFailure('local', { reason: 'circuit_open', retryAfterMs: 30_000 })
    }
    for (let i = 0; i < 20; i++) w.store.add(randomUUID(), operations(1)[0]!)
    await w.clock.advance(25_000)
    expect(w.sent.length).toBeLessThanOrEqual(8)
    w.answer = async () => {
      throw new UpstreamFailure('config', { status: 401 })
    }
    await w.clock.advance(50_000)
    expect(w.sent.length).toBeLessThanOrEqual(16)
    expect(w.store.finished).toEqual([])
    expect(w.lines.at(-1)).toMatchObject({ level: 'error', status: 401 })
    w.answer = async () => ({ transactionId: 'tx' })
    await w.clock.advance(120_000)
    expect(await w.store.pending()).toBe(0)
  })
})

test('what our own guards keep back is no failure of its account, which waits no longer for it', async () => {
  const w = world()
  w.answer = async () => {
    throw new UpstreamFailure('local', { reason: 'circuit_open', retryAfterMs: 1_000 })
  }
  w.store.add(randomUUID(), operations(1)[0]!)
  await w.clock.advance(290_000)
  w.answer = async () => ({ transactionId: 'tx' })
  await w.clock.advance(5_000)
  expect(await w.store.pending()).toBe(0)
})

test('a hint of hours is rested for a minute', async () => {
  const w = world()
  w.answer = async () => {
    throw new UpstreamFailure('throttled', { status: 429, retryAfterMs: 36_000_000 })
  }
  w.store.add(randomUUID(), operations(1)[0]!)
  await w.clock.advance(5_000)
  w.answer = async () => ({ transactionId: 'tx' })
  await w.clock.advance(50_000)
  expect(await w.store.pending()).toBe(1)
  await w.clock.advance(15_000)
  expect(await w.store.pending()).toBe(0)
})

test('a stop waits for what is under way, cuts it off in the end, and gives the turn to others', async () => {
  const w = world({ pods: 2 })
  const [first, second] = w.outboxes as [Outbox, Outbox]
  const cut = Promise.withResolvers<void>()
  w.answer = (_charge, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        cut.resolve()
        reject(new UpstreamFailure('client'))
      })
    })
  w.store.add(randomUUID(), operations(1)[0]!)
  await w.clock.advance(1_500)
  expect(w.sent).toHaveLength(1)
  const stopped = Promise.all([first.stop({ timeoutMs: 5_000 }), second.stop({ timeoutMs: 5_000 })])
  await w.clock.advance(4_000)
  let over = false
  void stopped.then(() => {
    over = true
  })
  await settled()
  expect(over).toBe(false)
  await w.clock.advance(1_500)
  await cut.promise
  await stopped
  expect(w.clock.pendingTimers).toBe(0)
  expect(await w.store.takeTurns({ holder: randomUUID(), max: 1, forMs: 1 })).toHaveLength(1)
})

test('whatever fails when, in two pods: each operation is in one charge, charges of an account come in order', async () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('use' as const), account: fc.nat(3), count: fc.integer({ min: 1, max: 700 }) }),
    fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 60_000 }) }),
    fc.record({
      do: fc.constant('behave' as const),
      how: fc.constantFrom(
        'well' as const,
        'down' as const,
        'lost' as const,
        'slow' as const,
        'stuck' as const,
        'refuse' as const,
      ),
    }),
    fc.record({ do: fc.constant('mode' as const), readOnly: fc.boolean() }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.integer(), async (steps, seed) => {
      const w = world({ pods: 2, random: seededRandom(seed) })
      const accounts = [1, 2, 3, 4].map(() => randomUUID())
      const used = new Map(accounts.map((id) => [id, [] as string[]]))
      /** What the billing system has taken, in the order of the first time. */
      const charged = new Map<string, Charge>()
      const take = (charge: Charge) => {
        const before = charged.get(charge.id)
        if (before) expect(charge, 'told again it is the same').toEqual(before)
        else charged.set(charge.id, charge)
        return { transactionId: charge.id }
      }
      const behave = {
        well: async (charge: Charge) => take(charge),
        down,
        lost: async (charge: Charge) => {
          take(charge)
          throw new UpstreamFailure('silent')
        },
        slow: async (charge: Charge) => {
          await new Promise<void>((resolve) => void w.clock.setTimer(5_000, resolve))
          return take(charge)
        },
        /** A pod that sleeps past its turn, and sends what another has sent meanwhile. */
        stuck: async (charge: Charge) => {
          await new Promise<void>((resolve) => void w.clock.setTimer(100_000, resolve))
          return take(charge)
        },
        refuse: async (charge: Charge) => {
          if (charged.has(charge.id)) return take(charge)
          take(charge)
          return { refused: '422' }
        },
      }
      w.answer = behave.well
      for (const each of steps) {
        if (each.do === 'pass') await w.clock.advance(each.ms)
        else if (each.do === 'behave') w.answer = behave[each.how]
        else if (each.do === 'mode') w.mode.readOnly = each.readOnly
        else {
          const accountId = accounts[each.account]!
          for (const operation of operations(each.count)) {
            used.get(accountId)!.push(operation.id)
            w.store.add(accountId, operation)
          }
        }
      }
      w.mode.readOnly = false
      w.answer = behave.well
      await w.clock.advance(10 * 60_000)
      expect(await w.store.pending()).toBe(0)
      for (const [accountId, ids] of used) {
        const own = [...charged.values()].filter((charge) => charge.accountId === accountId)
        expect(own.flatMap((charge) => charge.operations.map(({ id }) => id))).toEqual(ids)
      }
      await Promise.all(w.outboxes.map((outbox) => outbox.stop({ timeoutMs: 0 })))
    }),
    { numRuns: 60 },
  )
})
