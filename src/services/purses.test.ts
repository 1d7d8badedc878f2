import { beforeEach, describe, expect, test, vi } from 'vitest'
import { createMemoryBooks, type MemoryBooks } from '../../adapters/memory/books.ts'
import type { MemoryLedgerStore } from '../../adapters/memory/ledger-store.ts'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { listening } from '../../tests/support/listening.ts'
import type { Principal } from '../domain/principal.ts'
import { ApiError } from '../errors.ts'
import { type LeaseAsk, StorageUnavailable } from '../ports.ts'
import { createPurses, type Purse, type Purses } from './purses.ts'

const accountId = 'account'
let clock: FakeClock
let store: MemoryLedgerStore
let books: MemoryBooks
let mode: { readOnly: boolean }
let pods: number
let asks: LeaseAsk[]
/** Shut: what is asked of the books waits for it. */
let gate: PromiseWithResolvers<void> | undefined

beforeEach(() => {
  clock = new FakeClock()
  mode = { readOnly: false }
  pods = 1
  asks = []
  gate = undefined
  useStore(createMemoryBooks({ clock }))
})

function useStore(next: MemoryBooks) {
  books = next
  store = next.ledgerStore
  const { lease } = store
  store.lease = async (ask) => {
    asks.push(ask)
    await gate?.promise
    return lease(ask)
  }
}
const grant = (amount: number) => books.credits.grant(accountId, { id: `${Math.random()}`, kind: 'granted', amount })
const create = (processId = 'process') =>
  createPurses({
    ...{ clock, store, mode, metrics: new FakeMetrics(), log: { debug() {}, info() {}, warn() {}, error() {} } },
    ...{ podId: 'pod', processId, pods: () => pods },
  })
const principal = (budgetPerDay?: number): Principal => ({
  ...{ accountId, keyId: 'key', role: 'user', scopes: ['inference'] },
  limits: { key: budgetPerDay === undefined ? {} : { budgetPerDay }, account: {} },
})
const never = new AbortController().signal
const loseAll: MemoryLedgerStore['renew'] = async (slices) => slices.map(({ purseId }) => purseId)
const take = (purses: Purses, amount: number, purse = purses.of(principal()), signal = never) =>
  Promise.resolve(purses.take(purse, amount, signal))
/** Why it may not be spent. */
const refusal = async (taking: Promise<unknown>) => {
  const error = await taking.then(
    () => undefined,
    (reason) => reason,
  )
  expect(error).toBeInstanceOf(ApiError)
  return (error as ApiError).code
}
/** Synchronous refusals too. */
const tried = (purses: Purses, amount: number, purse?: Purse) => {
  try {
    return refusal(take(purses, amount, purse))
  } catch (error) {
    return Promise.resolve((error as ApiError).code)
  }
}
/** Spends so much for so long, so that a slice is worth keeping. */
async function spendEachSecond(purses: Purses, amount: number, seconds: number) {
  const purse = purses.of(principal())
  for (let i = 0; i < seconds; i++) {
    await take(purses, amount)
    purses.spend(purse, amount, amount)
    await clock.advance(1_000)
  }
  return purse
}

describe('credit at hand', () => {
  test('is taken without a promise, and the books are not asked', async () => {
    await grant(1_000)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 100)
    purses.spend(purse, 100, 40)
    expect([purse.free, asks.length]).toEqual([60, 1])
    expect(purses.take(purse, 60, never)).toBeUndefined()
    expect([purse.free, purse.open, asks.length]).toEqual([0, 1, 1])
  })

  test('what costs nothing needs none', () => {
    const purses = create()
    expect(purses.take(purses.of(principal()), 0, never)).toBeUndefined()
    expect(asks).toEqual([])
  })

  test('a cost above what was taken is owed by the slice, and the next one asks for that much more', async () => {
    await grant(1_000)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 100)
    purses.spend(purse, 100, 130)
    expect(purse.free).toBe(-30)
    await take(purses, 50)
    expect(asks.at(-1)).toMatchObject({ need: 80, want: 80 })
    expect(purse.free).toBe(0)
  })

  test.each([
    ['eight seconds of it: longer than a database that stands still hides it', false, 8],
    ['two where that counts against a limit', true, 2],
  ])('an account that spends steadily is leased %s', async (_what, limited, seconds) => {
    await grant(1_000_000)
    const purses = create()
    const purse = await spendEachSecond(purses, 1_000, 12)
    purse.limited = limited
    await take(purses, purse.free + 1)
    const { need, want } = asks.at(-1)!
    expect(want - need).toBeGreaterThan(seconds * 750)
    expect(want - need).toBeLessThanOrEqual(seconds * 1_000)
  })

  test('spare credit is at most a quarter of what the books have left', async () => {
    await grant(20_000)
    const purses = create()
    const purse = await spendEachSecond(purses, 1_000, 12)
    await take(purses, purse.free + 1)
    const { need, want } = asks.at(-1)!
    expect(want - need).toBeLessThanOrEqual((20_000 - 12_000) / 4)
  })
})

describe('a slice that runs low', () => {
  /** Whether one after another, ten a second, all have credit at hand for so long. */
  async function allAtHand(purses: Purses, seconds: number) {
    const purse = purses.of(principal())
    for (let i = 0; i < seconds * 10; i++) {
      if (purse.free < 100) return false
      await take(purses, 100)
      purses.spend(purse, 100, 100)
      await clock.advance(100)
    }
    return true
  }

  test('is filled up before anybody has to wait', async () => {
    await grant(1_000_000)
    const purses = create()
    await spendEachSecond(purses, 1_000, 12)
    expect(await allAtHand(purses, 60)).toBe(true)
    expect(asks.at(-1)).toMatchObject({ need: 0 })
  })

  test.each([0, 1, 2, 3, 4, 5, 6, 7])('lasts for 3 s at least of a database that stops after %i s', async (seconds) => {
    await grant(1_000_000)
    const purses = create()
    await spendEachSecond(purses, 1_000, 12)
    expect(await allAtHand(purses, seconds)).toBe(true)
    gate = Promise.withResolvers()
    expect(await allAtHand(purses, 3)).toBe(true)
    gate.resolve()
  })

  /** Of what was asked for at once the largest is remembered, however long ago it was. */
  test.each([
    [8_900, 100, 8],
    [15_000, 1, 90],
  ])('is not filled up near the end of the credit (%i, of which %i at a time)', async (credit, cost, seconds) => {
    await grant(credit)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 1_200)
    purses.spend(purse, 1_200, cost)
    for (let i = 0; i < seconds * 10; i++) {
      await take(purses, cost)
      purses.spend(purse, cost, cost)
      await clock.advance(100)
    }
    expect(asks.length).toBeGreaterThan(3)
    expect(asks.every(({ need }) => need > 0)).toBe(true)
  })

  test.each([
    [1, true],
    [4, true],
    [8, false],
  ])('is filled up where there is plenty for %i pods: %s', async (count, filled) => {
    pods = count
    await grant(170_000)
    const purses = create()
    await spendEachSecond(purses, 1_000, 12)
    await allAtHand(purses, 8)
    expect(asks.some(({ need }) => need === 0)).toBe(filled)
  })

  /** Until its slice is being filled up, which waits for the gate. */
  async function whileItIsFilledUp(purses: Purses) {
    const purse = await spendEachSecond(purses, 1_000, 12)
    gate = Promise.withResolvers()
    for (let i = 0; i < 80 && !purse.leasing; i++) expect(await allAtHand(purses, 0.1)).toBe(true)
    expect(purse.leasing).toBe(true)
    return { purse, opened: gate }
  }

  test('is not filled up where it counts against a limit', async () => {
    await grant(1_000_000)
    const purses = create()
    const purse = purses.of(principal(500_000))
    for (let i = 0; i < 100; i++) {
      await take(purses, 100, purse)
      purses.spend(purse, 100, 100)
      await clock.advance(100)
    }
    expect(asks.length).toBeGreaterThan(1)
    expect(asks.every(({ need }) => need > 0)).toBe(true)
  })

  test('that cannot be filled up is asked for by who needs it, who hears why not', async () => {
    await grant(1_000_000)
    const purses = create()
    const purse = await spendEachSecond(purses, 1_000, 12)
    const { lease } = store
    store.lease = () => Promise.reject(new Error('lost'))
    for (let i = 0; i < 120 && purse.free >= 100; i++) await allAtHand(purses, 0.1)
    expect(await tried(purses, 1_000)).toBe('ledger_unavailable')
    store.lease = lease
    await take(purses, 1_000)
  })

  test('is given back by a pod that stops while it is filled up', async () => {
    await grant(1_000_000)
    const purses = create()
    const { opened } = await whileItIsFilledUp(purses)
    const stopped = purses.stop()
    await settled()
    opened.resolve()
    await stopped
    await settled()
    expect(books.of(accountId).leased).toBe(0)
  })

  test('who comes while it is filled up waits for that', async () => {
    await grant(1_000_000)
    const purses = create()
    const { purse, opened } = await whileItIsFilledUp(purses)
    const taking = take(purses, purse.free + 1)
    opened.resolve()
    await taking
    expect(purse.leasing).toBe(false)
    expect(books.of(accountId).leased).toBeGreaterThanOrEqual(purse.free)
  })
})

describe('those who wait', () => {
  test('are served in their order, and the books are asked for all of them together', async () => {
    await grant(1_000)
    gate = Promise.withResolvers()
    const purses = create()
    const served: number[] = []
    const taking = [30, 10, 20].map((amount) => take(purses, amount).then(() => served.push(amount)))
    gate.resolve()
    await Promise.all(taking)
    expect(served).toEqual([30, 10, 20])
    expect(asks.map(({ need, want }) => [need, want])).toEqual([
      [30, 30],
      [10, 30],
    ])
  })

  test('nobody passes one who waits, even with an amount that is at hand', async () => {
    await grant(1_000)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 50)
    purses.spend(purse, 50, 0)
    gate = Promise.withResolvers()
    const served: number[] = []
    const taking = [100, 10].map((amount) => take(purses, amount).then(() => served.push(amount)))
    await settled()
    expect(served).toEqual([])
    gate.resolve()
    await Promise.all(taking)
    expect(served).toEqual([100, 10])
  })

  test('what others give back serves them at once', async () => {
    await grant(100)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 100)
    gate = Promise.withResolvers()
    const waiting = take(purses, 70)
    await settled()
    purses.spend(purse, 100, 20)
    await waiting
    expect([purse.free, purse.open, purse.waiting.length]).toEqual([10, 1, 0])
    gate.resolve()
    await settled()
  })

  test('who leaves while waiting takes nothing, leaves no listener, and holds nobody up', async () => {
    await grant(1_000)
    gate = Promise.withResolvers()
    const purses = create()
    const purse = purses.of(principal())
    const leaving = new AbortController()
    const listeners = listening(leaving.signal)
    const left = refusal(take(purses, 100, purse, leaving.signal))
    const served = take(purses, 40)
    leaving.abort()
    expect(await left).toBe('client_closed')
    gate.resolve()
    await served
    expect([purse.open, purse.waiting.length, listeners()]).toEqual([1, 0, 0])
    expect(purse.free + 40).toBe(books.of(accountId).leased)
  })

  test('who was served leaves no listener either', async () => {
    await grant(1_000)
    const purses = create()
    const { signal } = new AbortController()
    const listeners = listening(signal)
    await take(purses, 100, purses.of(principal()), signal)
    expect(listeners()).toBe(0)
  })

  test('are 2,000 at most', async () => {
    await grant(1_000_000)
    gate = Promise.withResolvers()
    const purses = create()
    const taking = Array.from({ length: 2_000 }, () => take(purses, 1))
    expect(() => purses.take(purses.of(principal()), 1, never)).toThrow(expect.objectContaining({ code: 'overloaded' }))
    gate.resolve()
    await Promise.all(taking)
  })

  test('a database that fails is told to all of them, and the next one asks again', async () => {
    await grant(1_000)
    const { lease } = store
    store.lease = () => Promise.reject(new Error('lost'))
    const purses = create()
    const taking = [refusal(take(purses, 10)), refusal(take(purses, 20))]
    expect(await Promise.all(taking)).toEqual(['ledger_unavailable', 'ledger_unavailable'])
    store.lease = lease
    await take(purses, 10)
    expect(purses.of(principal()).open).toBe(1)
  })

  describe('that cannot be leased from a primary that does not answer', () => {
    const fail = (times: number) => {
      const { lease } = store
      store.lease = (ask) => (times-- > 0 ? Promise.reject(new StorageUnavailable('away')) : lease(ask))
    }

    test('is waited for, and leased from it when it is back', async () => {
      await grant(1_000)
      fail(5)
      const taking = take(create(), 100)
      await clock.advance(500)
      await taking
      expect(books.of(accountId).leased).toBeGreaterThanOrEqual(100)
    })

    test('is waited for, and spent without a lease once the primary is known to be lost', async () => {
      await grant(1_000)
      fail(1_000)
      const taking = take(create(), 100)
      await clock.advance(1_500)
      mode.readOnly = true
      await clock.advance(100)
      await taking
      expect(books.of(accountId).leased).toBe(0)
    })

    test('is refused to all when that is still not known after 3 s, and asked for anew by who comes then', async () => {
      await grant(1_000)
      fail(31)
      const purses = create()
      const taking = [tried(purses, 1), tried(purses, 1)]
      await clock.advance(2_900)
      const late = tried(purses, 1)
      await clock.advance(100)
      expect(await Promise.all([...taking, late])).toEqual(Array(3).fill('ledger_unavailable'))
      await take(purses, 1)
      expect(clock.pendingTimers).toBe(1)
    })

    test('is not waited for by who has left, nor by a process that stops', async () => {
      await grant(1_000)
      fail(1_000)
      const purses = create()
      const leaving = new AbortController()
      const left = refusal(take(purses, 100, purses.of(principal()), leaving.signal))
      leaving.abort()
      expect(await left).toBe('client_closed')
      const other = tried(purses, 100)
      await clock.advance(100)
      await purses.stop()
      expect(await other).toBe('ledger_unavailable')
    })
  })
})

describe('a refusal', () => {
  test('is remembered for 500 ms, for as much and for more and not for less', async () => {
    await grant(100)
    const purses = create()
    expect(await tried(purses, 200)).toBe('insufficient_credit')
    expect(asks).toHaveLength(1)
    for (const amount of [200, 201, 5_000]) expect(await tried(purses, amount)).toBe('insufficient_credit')
    expect(asks).toHaveLength(1)
    await take(purses, 100)
    expect(asks).toHaveLength(2)
    await clock.advance(499)
    expect(await tried(purses, 200)).toBe('insufficient_credit')
    expect(asks).toHaveLength(2)
    await clock.advance(1)
    const again = tried(purses, 200)
    await clock.advance(300)
    expect(await again).toBe('insufficient_credit')
    expect(asks.length).toBeGreaterThan(2)
  })

  test('is for those who ask for as much; one who asks for less is served behind it', async () => {
    await grant(100)
    gate = Promise.withResolvers()
    const purses = create()
    const large = tried(purses, 200)
    const larger = tried(purses, 300)
    const small = take(purses, 60)
    gate.resolve()
    expect(await Promise.all([large, larger])).toEqual(['insufficient_credit', 'insufficient_credit'])
    await small
    expect(purses.of(principal()).open).toBe(1)
  })

  test('waits until what other pods hold and do not need has had time to come back', async () => {
    await grant(100)
    await store.lease({
      ...{ accountId, purseId: accountId, processId: 'other', podId: 'other' },
      ...{ budgets: undefined, need: 100, want: 100 },
    })
    const purses = create()
    const taking = take(purses, 60)
    await clock.advance(100)
    await store.giveBack([{ accountId, purseId: accountId, processId: 'other', amount: 100 }])
    await clock.advance(100)
    await taking
    expect(purses.of(principal()).open).toBe(1)
  })

  test('is for none of two pods whose parts are too little for either, and together enough for one', async () => {
    await grant(100)
    const one = create('one')
    const other = create('other')
    await take(one, 40)
    one.spend(one.of(principal()), 40, 0)
    await take(other, 60)
    other.spend(other.of(principal()), 60, 0)
    const said = Promise.all([one, other].map((purses) => take(purses, 100).catch(({ code }) => code)))
    await clock.advance(400)
    expect((await said).sort()).toEqual(['insufficient_credit', undefined])
  })

  test('comes 300 ms later where it does not', async () => {
    await grant(100)
    await store.lease({
      ...{ accountId, purseId: accountId, processId: 'other', podId: 'other' },
      ...{ budgets: undefined, need: 100, want: 100 },
    })
    const told = vi.fn()
    void tried(create(), 60).then(told)
    await clock.advance(299)
    expect(told).not.toHaveBeenCalled()
    await clock.advance(1)
    expect(told).toHaveBeenCalledWith('insufficient_credit')
  })
})

describe('a slice goes back', () => {
  test('when nobody has needed it for a second but for a reserve, and after ten all of it', async () => {
    await grant(1_000)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 200)
    purses.spend(purse, 200, 0)
    await clock.advance(2_000)
    // An eighth of what the books said was left.
    expect([purse.free, books.of(accountId).leased]).toEqual([100, 100])
    await clock.advance(9_000)
    expect([purse.free, books.of(accountId).leased]).toEqual([0, 0])
  })

  test('all of it at once where it counts against a limit', async () => {
    await grant(1_000)
    const purses = create()
    const purse = purses.of(principal(900))
    await take(purses, 200, purse)
    purses.spend(purse, 200, 0)
    await clock.advance(2_000)
    expect([purse.free, books.of(accountId).leased]).toEqual([0, 0])
  })

  test('only what was not needed between one tick and the next', async () => {
    await grant(1_000)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 600)
    await take(purses, 1)
    purses.spend(purse, 600, 0)
    await clock.advance(1_000)
    expect(purse.free).toBe(600)
    await take(purses, 400)
    purses.spend(purse, 400, 0)
    await clock.advance(1_000)
    // 200 lay idle, and an eighth of the 399 that the books said were left is the reserve.
    expect(purse.free).toBe(600 - 200 + 49)
  })

  test('not what an open request has taken', async () => {
    await grant(1_000)
    const purses = create()
    await take(purses, 100)
    await clock.advance(60_000)
    expect(books.of(accountId).leased).toBe(100)
  })

  test('at once near the end of the credit, and not before', async () => {
    await grant(10_000)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 100)
    purses.spend(purse, 100, 0)
    purses.entered(1, new Map([[accountId, 800]]))
    await settled()
    expect([purse.free, books.of(accountId).leased]).toEqual([100, 100])
    purses.entered(2, new Map([[accountId, 799]]))
    await settled()
    expect([purse.free, books.of(accountId).leased]).toEqual([0, 0])
  })

  test('near the end not while somebody waits for it', async () => {
    await grant(100)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 60)
    gate = Promise.withResolvers()
    const waiting = take(purses, 70)
    purses.spend(purse, 60, 0)
    purses.entered(1, new Map([[accountId, 0]]))
    expect(purse.free).toBe(60)
    gate.resolve()
    await clock.advance(100)
    await waiting
    expect(purse.free).toBe(0)
  })

  test('but stays while the books are away', async () => {
    await grant(1_000)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 100)
    purses.spend(purse, 100, 0)
    const { giveBack } = store
    store.giveBack = () => Promise.reject(new Error('away'))
    purse.largest = 0
    await clock.advance(2_000)
    expect(purse.free).toBe(100)
    store.giveBack = giveBack
    await clock.advance(2_000)
    expect([purse.free, books.of(accountId).leased]).toEqual([0, 0])
  })

  test('and stays while nothing may be written', async () => {
    await grant(1_000)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 100)
    purses.spend(purse, 100, 0)
    mode.readOnly = true
    await clock.advance(60_000)
    expect([purse.free, books.of(accountId).leased]).toEqual([100, 100])
  })

  test('whole, with what the books and the pod do not agree on, ten seconds after the last request, once its events are entered', async () => {
    await grant(1_000)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 100)
    purses.spend(purse, 100, 30)
    purse.lastEvent = 2
    await clock.advance(30_000)
    expect(books.of(accountId).leased).toBeGreaterThan(0)
    purses.entered(2, new Map())
    await clock.advance(1_000)
    expect(books.of(accountId).leased).toBe(0)
  })

  test('whole when the pod stops', async () => {
    await grant(1_000)
    const purses = create()
    await take(purses, 100)
    await purses.stop()
    expect(books.of(accountId).leased).toBe(0)
    expect(clock.pendingTimers).toBe(0)
  })

  test('and is forgotten after five minutes', async () => {
    await grant(1_000)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 100)
    purses.spend(purse, 100, 0)
    await clock.advance(299_000)
    expect(purses.of(principal())).toBe(purse)
    await clock.advance(3_000)
    expect(purses.of(principal())).not.toBe(purse)
    await clock.advance(310_000)
    expect(clock.pendingTimers).toBe(0)
  })
})

describe('a lease', () => {
  test('is renewed every 15 seconds', async () => {
    await grant(1_000)
    const purses = create()
    await take(purses, 100)
    const renew = vi.spyOn(store, 'renew')
    await clock.advance(14_999)
    expect(renew).not.toHaveBeenCalled()
    await clock.advance(15_001)
    expect(renew.mock.calls).toEqual(Array(2).fill([[{ accountId, purseId: accountId, processId: 'process' }]]))
  })

  test('that was lost leaves nothing to spend', async () => {
    await grant(1_000)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 100)
    await take(purses, 1)
    store.renew = loseAll
    await clock.advance(14_500)
    purses.spend(purse, 100, 0)
    expect(purse.free).toBe(100)
    await clock.advance(500)
    expect(purse.free).toBe(0)
  })

  test('that was lost forgives no debt', async () => {
    await grant(200)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 100)
    await take(purses, 1)
    purses.spend(purse, 100, 150)
    store.renew = loseAll
    await clock.advance(15_000)
    expect(purse.free).toBe(-50)
  })
})

describe('while nothing may be written', () => {
  test('a pod spends its part of what the books said, and no more', async () => {
    await grant(1_000)
    mode.readOnly = true
    pods = 5
    const purses = create()
    await take(purses, 150)
    await take(purses, 50)
    expect(await tried(purses, 1)).toBe('ledger_unavailable')
    expect(asks).toEqual([])
  })

  test.each([1, 2, 4, 7, 32])('%i pods together never spend more than there was', async (count) => {
    await grant(1_003)
    mode.readOnly = true
    pods = count
    let spent = 0
    for (let pod = 0; pod < count; pod++) {
      const purses = create(`process-${pod}`)
      const purse = purses.of(principal())
      for (let i = 0; i < 50; i++) {
        const amount = 7 + (i % 5)
        try {
          await take(purses, amount)
        } catch {
          continue
        }
        purses.spend(purse, amount, amount)
        spent += amount
      }
    }
    expect(spent).toBeLessThanOrEqual(1_003)
    expect(spent).toBeGreaterThan(0)
  })

  test('a lone pod spends a quarter: others may have been born that it has not heard of', async () => {
    await grant(1_000)
    mode.readOnly = true
    const purses = create()
    expect(await tried(purses, 251)).toBe('ledger_unavailable')
    await take(purses, 250)
  })

  test('with no word of the books, what was known before counts', async () => {
    await grant(1_000)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 100)
    purses.spend(purse, 100, 100)
    mode.readOnly = true
    store.look = () => Promise.reject(new Error('away'))
    await take(purses, 225)
    expect(await tried(purses, 1)).toBe('ledger_unavailable')
  })

  test('also where the primary was lost while a slice was asked for', async () => {
    await grant(1_000)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 100)
    purses.spend(purse, 100, 0)
    store.lease = async () => {
      mode.readOnly = true
      throw new Error('lost')
    }
    await take(purses, 225)
    expect(await tried(purses, 900)).toBe('ledger_unavailable')
  })

  test('and where nothing was known, nothing is spent', async () => {
    await grant(1_000)
    mode.readOnly = true
    store.look = () => Promise.reject(new Error('away'))
    expect(await tried(create(), 1)).toBe('ledger_unavailable')
  })

  test('the part is spent once, over all of the outage, and anew after it', async () => {
    await grant(400)
    mode.readOnly = true
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 100)
    purses.spend(purse, 100, 100)
    await clock.advance(60_000)
    expect(await tried(purses, 1)).toBe('ledger_unavailable')
    mode.readOnly = false
    await clock.advance(1_000)
    await take(purses, 10)
    expect(purse.unsecured).toBe(0)
  })

  test('no guard rail is passed', async () => {
    useStore(createMemoryBooks({ clock, windowLimits: { '60min': 1_000_000 } as never }))
    await grant(1_000)
    mode.readOnly = true
    expect(await tried(create(), 1)).toBe('ledger_unavailable')
    await expect(take(create(), 1)).rejects.toThrow('the guard rails of this account')
  })

  test('nor the budget of a key', async () => {
    await grant(1_000)
    mode.readOnly = true
    const purses = create()
    expect(await tried(purses, 1, purses.of(principal(1_000_000)))).toBe('ledger_unavailable')
  })

  test('what was leased before is spent all the same: it was checked then', async () => {
    await grant(1_000)
    const purses = create()
    const purse = purses.of(principal(500))
    await take(purses, 100, purse)
    purses.spend(purse, 100, 40)
    mode.readOnly = true
    expect(purses.take(purse, 60, never)).toBeUndefined()
    expect(await tried(purses, 1, purse)).toBe('ledger_unavailable')
  })
})

describe('budgets and guard rails', () => {
  test('a key with a budget has a purse of its own, which asks with it', async () => {
    await grant(1_000)
    const purses = create()
    const own = purses.of(principal(50))
    expect(own.id).toBe('key')
    expect(purses.of(principal()).id).toBe(accountId)
    await take(purses, 50, own)
    expect(asks[0]).toMatchObject({ purseId: 'key', budgets: { keyId: 'key', perDay: 50 } })
    expect(await tried(purses, 1, own)).toBe('budget_exceeded')
  })

  test('credit of the account is not the key’s to take', async () => {
    await grant(1_000)
    const purses = create()
    await take(purses, 100)
    purses.spend(purses.of(principal()), 100, 0)
    expect(await tried(purses, 60, purses.of(principal(50)))).toBe('budget_exceeded')
  })

  test('a guard rail that refuses does not count what the purse has as spent', async () => {
    useStore(createMemoryBooks({ clock, windowLimits: { '60min': 100 } as never }))
    await grant(1_000)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 60)
    purses.spend(purse, 60, 0)
    const error = (await take(purses, 101).catch((reason) => reason)) as ApiError
    expect(error).toMatchObject({ code: 'guardrail_exceeded' })
    expect([purse.refused?.answer.blocked?.spent, purse.free]).toEqual([0, 60])
  })

  test('a guard rail refuses, and in shadow mode only says so', async () => {
    useStore(createMemoryBooks({ clock, windowLimits: { '60min': 100 } as never }))
    await grant(1_000)
    const purses = create()
    expect(await tried(purses, 101)).toBe('guardrail_exceeded')
    books.of(accountId).shadow = true
    await clock.advance(500)
    await take(purses, 101)
  })

  test('a guard rail in shadow mode does not hide the budget of a key', async () => {
    useStore(createMemoryBooks({ clock, windowLimits: { '60min': 100 } as never }))
    await grant(1_000)
    books.of(accountId).shadow = true
    const purses = create()
    await take(purses, 101)
    expect(await tried(purses, 60, purses.of(principal(50)))).toBe('budget_exceeded')
  })
})

test('100,000 purses are enough', () => {
  const purses = create()
  for (let i = 0; i < 100_000; i++) purses.of({ ...principal(), accountId: `${i}` })
  expect(() => purses.of(principal())).toThrow(expect.objectContaining({ code: 'overloaded' }))
  expect(purses.of({ ...principal(), accountId: '7' }).id).toBe('7')
})

describe('credit that the books and a purse do not agree on', () => {
  test('what is left of what was not secured is not spent once it can be leased', async () => {
    await grant(1_000)
    mode.readOnly = true
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 100)
    purses.spend(purse, 100, 10)
    mode.readOnly = false
    const other = { accountId, purseId: accountId, processId: 'other', podId: 'other', budgets: undefined }
    await store.lease({ ...other, need: 1_000, want: 1_000 })
    const refused = tried(purses, 90)
    await clock.advance(1_000)
    expect(await refused).toBe('insufficient_credit')
  })

  test.each<[string, (purses: Purses) => unknown]>([
    ['as not needed', () => clock.advance(2_000)],
    ['near the end of the credit', (purses) => purses.entered(1, new Map([[accountId, 300]]))],
  ])('what was not secured is not given back, neither %s', async (_, pass) => {
    await grant(1_000)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 100)
    mode.readOnly = true
    await take(purses, 50)
    purses.spend(purse, 50, 10)
    // The hold of the first waits in the journal, and is still to be taken from the slice.
    purse.lastEvent = 2
    purse.largest = 40
    purse.spendable = 0
    mode.readOnly = false
    await pass(purses)
    await settled()
    expect(books.of(accountId).leased).toBe(100)
  })

  test('a slice that is granted while the mode changes is a slice', async () => {
    await grant(1_000)
    gate = Promise.withResolvers()
    const purses = create()
    const purse = purses.of(principal())
    const taking = take(purses, 100)
    await settled()
    mode.readOnly = true
    gate.resolve()
    await taking
    expect([purse.leased, purse.unsecured]).toEqual([true, 0])
  })

  test('what is granted without the books while the mode changes is leased after all', async () => {
    await grant(1_000)
    mode.readOnly = true
    const { look } = store
    const purses = create()
    const purse = purses.of(principal())
    store.look = async (id) => {
      mode.readOnly = false
      return look(id)
    }
    await take(purses, 100)
    expect([purse.leased, purse.unsecured, purse.free]).toEqual([true, 0, 0])
    expect(books.of(accountId).leased).toBe(100)
  })

  test('what was taken without the books is of the next slice, where they hear of it later', async () => {
    await grant(1_000)
    mode.readOnly = true
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 100)
    await take(purses, 100)
    // Their holds wait in the journal.
    purse.lastEvent = 2
    mode.readOnly = false
    await take(purses, 10)
    for (let i = 0; i < 2; i++) purses.spend(purse, 100, 1)
    purses.spend(purse, 10, 10)
    const usage = { model: 'm', inputTokens: 0, cachedInputTokens: 0, outputTokens: 0 }
    const operation = { accountId, keyId: 'key', purseId: accountId, processId: 'process', at: 0, ...usage }
    const settle = (operationId: string, amount: number) => ({ event: 'settle', operationId, amount, ...operation })
    await store.enter(JSON.stringify([settle('one', 1), settle('two', 1), settle('three', 10)]))
    expect(books.of(accountId)).toMatchObject({ available: 988, leased: purse.free })
  })

  test('what was taken without the books is forgotten with the purse that stands idle', async () => {
    await grant(4_000)
    mode.readOnly = true
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 900)
    purses.spend(purse, 900, 10)
    purse.lastEvent = 1
    purses.entered(1, new Map())
    mode.readOnly = false
    await clock.advance(15_000)
    expect([purse.free, purse.unsecured]).toEqual([0, 0])
    mode.readOnly = true
    await take(purses, 90)
    purses.spend(purse, 90, 10)
    purse.lastEvent = 3
    mode.readOnly = false
    await take(purses, 3_500)
    expect(purse.open).toBe(1)
  })

  test('a slice is not leased while all of the purse is on its way back', async () => {
    await grant(100)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 50)
    purses.spend(purse, 50, 0)
    const { giveBack } = store
    const late = Promise.withResolvers<void>()
    store.giveBack = async (slices) => {
      if (slices.some(({ amount }) => amount === 'all')) await late.promise
      return giveBack(slices)
    }
    await clock.advance(12_000)
    expect(purse.leased).toBe(false)
    const taking = take(purses, 60)
    await settled()
    expect(purse.free).toBe(0)
    late.resolve()
    await taking
    expect(books.of(accountId).leased).toBe(60)
  })

  test('what may have been given back is not kept as well', async () => {
    await grant(1_000)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 500)
    purses.spend(purse, 500, 0)
    const { giveBack } = store
    store.giveBack = async (slices) => {
      await giveBack(slices)
      throw new StorageUnavailable('no answer', { mayHaveRun: true })
    }
    purses.entered(1, new Map([[accountId, 500]]))
    await settled()
    expect([purse.free, books.of(accountId).leased]).toEqual([0, 0])
    // Nothing of it happened: then it is kept.
    await take(purses, 500)
    purses.spend(purse, 500, 0)
    store.giveBack = () => Promise.reject(new StorageUnavailable('away'))
    purses.entered(2, new Map([[accountId, 500]]))
    await settled()
    expect([purse.free, books.of(accountId).leased]).toEqual([500, 500])
  })

  test('all that could not be given back is tried again', async () => {
    await grant(1_000)
    const purses = create()
    const purse = purses.of(principal(900))
    await take(purses, 200, purse)
    const { giveBack } = store
    store.giveBack = () => Promise.reject(new StorageUnavailable('away'))
    purses.spend(purse, 200, 0)
    await clock.advance(15_000)
    store.giveBack = giveBack
    await clock.advance(1_000)
    expect(books.of(accountId).leased).toBe(0)
  })

  test('a slice whose answer was lost with the primary comes back when there is one', async () => {
    await grant(1_000)
    const purses = create()
    const { lease } = store
    store.lease = async (ask) => {
      await lease(ask)
      mode.readOnly = true
      throw new StorageUnavailable('lost', { mayHaveRun: true })
    }
    await take(purses, 100)
    purses.spend(purses.of(principal()), 100, 0)
    mode.readOnly = false
    await clock.advance(1_000)
    expect(books.of(accountId).leased).toBe(0)
  })

  test('a slice whose answer was lost comes back between two calls, though callers keep asking', async () => {
    await grant(1_000)
    const purses = create()
    const { lease } = store
    store.lease = async (ask) => {
      const answer = await lease(ask)
      store.lease = lease
      if (answer.granted > 0) throw new StorageUnavailable('no answer', { mayHaveRun: true })
      return answer
    }
    const taking = take(purses, 600).catch(({ code }) => code)
    await clock.advance(400)
    expect([await taking, books.of(accountId).leased]).toEqual(['insufficient_credit', 600])
    let served = 0
    for (let second = 0; second < 5; second++) {
      const asking = async () => take(purses, 600)
      void asking().then(
        () => served++,
        () => {},
      )
      await clock.advance(1_000)
    }
    expect(served).toBe(1)
    expect(books.of(accountId).leased).toBe(600)
  })

  test('what came free before the books knew of it stays here until they do, also while callers go on asking', async () => {
    await grant(1_000)
    const purses = create()
    const purse = purses.of(principal())
    await take(purses, 1_000)
    const operation = { accountId, operationId: 'one', keyId: 'key', purseId: accountId, processId: 'process', at: 0 }
    const terms = {
      endpoint: 'e',
      model: 'm',
      provider: 'p',
      streamed: false,
      base: 0,
      outputPerMillion: 0,
      inputTokens: 0,
    }
    await store.enter(JSON.stringify([{ event: 'hold', ...operation, podId: 'pod', amount: 1_000, terms }]))
    purses.spend(purse, 1_000, 100)
    purse.lastEvent = 2
    purses.entered(1, new Map([[accountId, 0]]))
    await settled()
    expect(purse.free).toBe(900)
    const usage = { model: 'm', inputTokens: 0, cachedInputTokens: 0, outputTokens: 0 }
    await store.enter(JSON.stringify([{ event: 'settle', ...operation, amount: 100, ...usage }]))
    purses.entered(2, new Map([[accountId, 0]]))
    await settled()
    for (let second = 0; second < 60; second++) {
      void tried(purses, 950)
      await clock.advance(1_000)
    }
    expect(books.of(accountId)).toMatchObject({ available: 900, held: 0, leased: 0 })
  })
})
