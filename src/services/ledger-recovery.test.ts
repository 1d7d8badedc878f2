import { beforeEach, expect, test, vi } from 'vitest'
import { createMemoryBooks, type MemoryBooks } from '../../adapters/memory/books.ts'
import { createMemoryJournal } from '../../adapters/memory/journal.ts'
import type { MemoryLedgerStore } from '../../adapters/memory/ledger-store.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import type { EndEvent, HoldEvent, LedgerEvent } from '../domain/ledger.ts'
import type { Journal } from '../ports.ts'
import { createLedger } from './ledger.ts'
import { createLedgerRecovery } from './ledger-recovery.ts'

const log = { debug() {}, info() {}, warn: vi.fn(), error: vi.fn() }
let clock: FakeClock
let journal: Journal
let store: MemoryLedgerStore
let books: MemoryBooks
let mode: { readOnly: boolean }
let formerEnded: ReturnType<typeof vi.fn<() => Promise<void>>>

beforeEach(async () => {
  clock = new FakeClock()
  journal = createMemoryJournal()
  mode = { readOnly: false }
  formerEnded = vi.fn(async () => {})
  books = createMemoryBooks({ clock })
  store = books.ledgerStore
  await books.credits.grant('account', { id: 'one', kind: 'granted', amount: 1_000_000 })
})

function create(processId = 'process') {
  const own = { clock, random: () => 0.5, journal, store, mode, log, podId: 'pod', processId }
  const ledger = createLedger({ ...own, metrics: new FakeMetrics(), pods: () => 1 })
  const recovery = createLedgerRecovery({ ...own, ledger, onFormerEnded: formerEnded, requestTimeoutMs: () => 600_000 })
  return { ledger, recovery }
}
const hold = (operationId: string, own: Partial<HoldEvent> = {}): HoldEvent => ({
  ...{ event: 'hold', accountId: 'account', operationId, keyId: 'key', purseId: 'account', amount: 500 },
  ...{ processId: 'former', podId: 'pod', at: clock.wallNow() },
  terms: {
    ...{ endpoint: 'chat/completions', model: 'm', provider: 'p', streamed: true },
    ...{ base: 7, outputPerMillion: 1_500_000, inputTokens: 4 },
  },
  ...own,
})
const mark = (operationId: string, outputTokens: number): LedgerEvent => ({
  ...{ event: 'mark', accountId: 'account', operationId, outputTokens },
})
const ended = (operationId: string, amount: number): EndEvent => ({
  ...{
    event: 'settle',
    accountId: 'account',
    operationId,
    keyId: 'key',
    purseId: 'account',
    processId: 'former',
    amount,
  },
  ...{ at: clock.wallNow(), model: 'm', inputTokens: 4, cachedInputTokens: 0, outputTokens: 2, facts: undefined },
})
const journalled = (...events: LedgerEvent[]) => {
  for (const event of events) journal.append(JSON.stringify(event))
}
const inBooks = (...events: LedgerEvent[]) => store.enter(JSON.stringify(events))
const endsOf = (operationId: string) => store.ends.filter((end) => end.operationId === operationId)

test('what the journal holds the beginning of and not the end is ended, and nothing else', async () => {
  journalled(hold('a'), hold('b'), ended('a', 90), hold('c'), mark('c', 50), mark('gone', 50))
  const { recovery } = create()
  await recovery.endJournalled()
  await clock.advance(100)
  expect(store.ends.map(({ operationId, amount }) => [operationId, amount])).toEqual([
    ['a', 90],
    ['b', 7],
    ['c', 7 + 75],
  ])
  expect(books.of('account')).toMatchObject({ available: 1_000_000 - 90 - 7 - 82, held: 0 })
})

test('by the last mark, rounded up, never above what was held, and the receipt says that it is an estimate', async () => {
  journalled(hold('a'), mark('a', 50), mark('a', 101), hold('b', { amount: 100 }), mark('b', 1_000))
  const { recovery } = create()
  await recovery.endJournalled()
  await clock.advance(100)
  expect(endsOf('a')).toMatchObject([
    {
      ...{
        event: 'settle',
        amount: 7 + 152,
        outputTokens: 101,
        inputTokens: 4,
        processId: 'former',
        purseId: 'account',
      },
      model: 'm',
      facts: { status: 0, streamed: true, held: 500, provider: 'p', source: 'estimated' },
    },
  ])
  expect(endsOf('b')).toMatchObject([{ amount: 100 }])
})

test('a mark says nothing where the hold has left the journal: the books know of it', async () => {
  await inBooks(hold('a'))
  journalled(mark('a', 100))
  const { recovery } = create()
  await recovery.endJournalled()
  expect(store.ends).toEqual([])
  recovery.start()
  await clock.advance(200)
  expect(endsOf('a')).toMatchObject([{ amount: 7 + 150, outputTokens: 100 }])
  recovery.stop()
})

test('holds of former processes that are in the books are ended once, over several starts', async () => {
  await inBooks(...Array.from({ length: 450 }, (_, i) => hold(`former-${i}`)))
  await inBooks(hold('other', { podId: 'other pod', processId: 'other' }))
  const first = create('first')
  first.recovery.start()
  await clock.advance(1_000)
  first.recovery.stop()
  await inBooks(hold('own', { processId: 'second' }))
  const second = create('second')
  second.recovery.start()
  await clock.advance(1_000)
  second.recovery.stop()
  expect(store.ends).toHaveLength(450)
  expect(new Set(store.ends.map(({ operationId }) => operationId)).size).toBe(450)
  expect(books.of('account')).toMatchObject({ available: 1_000_000 - 450 * 7 - 1_000, held: 1_000 })
})

test('what is on its way from the journal to the books is not ended a second time', async () => {
  await inBooks(hold('a'))
  journalled(ended('a', 90))
  const { recovery } = create()
  await recovery.endJournalled()
  recovery.start()
  await clock.advance(1_000)
  recovery.stop()
  expect(endsOf('a')).toMatchObject([{ amount: 90 }])
})

test('leases of former processes go back, after their holds are ended, and then it is told', async () => {
  const order: string[] = []
  await inBooks(hold('a'))
  const { endFormerLeases, enter } = store
  store.enter = async (events) => {
    order.push('enter')
    return enter.call(store, events)
  }
  store.endFormerLeases = async (...args) => {
    order.push('leases')
    return endFormerLeases.call(store, ...args)
  }
  formerEnded.mockImplementation(async () => void order.push('told'))
  const { recovery } = create()
  recovery.start()
  await clock.advance(1_000)
  recovery.stop()
  expect(order).toEqual(['enter', 'leases', 'told'])
  await clock.advance(120_000)
  expect(formerEnded).toHaveBeenCalledOnce()
})

test('while nothing may be written nothing is ended, and then all is', async () => {
  await inBooks(hold('a'))
  mode.readOnly = true
  const { recovery } = create()
  recovery.start()
  await clock.advance(300_000)
  expect([store.ends, formerEnded.mock.calls]).toEqual([[], []])
  mode.readOnly = false
  await clock.advance(60_000)
  expect(endsOf('a')).toHaveLength(1)
  expect(formerEnded).toHaveBeenCalledOnce()
  recovery.stop()
})

test('a database that fails is asked again two seconds later', async () => {
  await inBooks(hold('a'))
  const { formerHolds } = store
  store.formerHolds = vi.fn().mockRejectedValueOnce(new Error('lost')).mockImplementation(formerHolds)
  const { recovery } = create()
  recovery.start()
  await clock.advance(1_999)
  expect(store.ends).toEqual([])
  await clock.advance(100)
  expect(endsOf('a')).toHaveLength(1)
  recovery.stop()
})

test('holds of other pods are ended only when no request can be as old', async () => {
  await inBooks(hold('a', { podId: 'other pod', processId: 'other' }))
  const { recovery } = create()
  recovery.start()
  await clock.advance(655_000)
  expect(store.ends).toEqual([])
  await clock.advance(60_000)
  expect(endsOf('a')).toMatchObject([{ amount: 7, processId: 'other' }])
  recovery.stop()
})

test('nor are they right after an outage: their ends may wait in journals', async () => {
  await inBooks(hold('a', { podId: 'other pod', processId: 'other' }))
  mode.readOnly = true
  const { recovery } = create()
  recovery.start()
  await clock.advance(1_000_000)
  mode.readOnly = false
  await clock.advance(85_000)
  expect(store.ends).toEqual([])
  await clock.advance(60_000)
  expect(endsOf('a')).toHaveLength(1)
  recovery.stop()
})

test('leases are taken from nobody until the fleet has been heard of for a while, and an outage begins that anew', async () => {
  const endAbandonedLeases = vi.fn(async () => 0)
  store.endAbandonedLeases = endAbandonedLeases
  const { recovery } = create()
  recovery.start()
  await clock.advance(89_000)
  expect(endAbandonedLeases).not.toHaveBeenCalled()
  mode.readOnly = true
  await clock.advance(30_000)
  mode.readOnly = false
  await clock.advance(90_000)
  expect(endAbandonedLeases).not.toHaveBeenCalled()
  await clock.advance(30_000)
  expect(endAbandonedLeases).toHaveBeenCalledWith(120_000)
  recovery.stop()
})

test('so does a failure of the books', async () => {
  const endAbandonedLeases = vi.fn(async () => 0)
  store.endAbandonedLeases = endAbandonedLeases
  const { recovery } = create()
  recovery.start()
  await clock.advance(59_000)
  const { abandoned } = store
  store.abandoned = vi.fn().mockRejectedValueOnce(new Error('lost')).mockImplementation(abandoned)
  await clock.advance(71_000)
  expect(endAbandonedLeases).not.toHaveBeenCalled()
  await clock.advance(30_000)
  expect(endAbandonedLeases).toHaveBeenCalled()
  recovery.stop()
})

test('what this pod has ended, and not entered yet, is not taken for abandoned', async () => {
  await inBooks(hold('a', { processId: 'process' }))
  const { ledger, recovery } = create()
  recovery.start()
  await clock.advance(600_000)
  log.warn.mockClear()
  const { enter } = store
  const late = Promise.withResolvers<void>()
  store.enter = async (group) => {
    await late.promise
    return enter(group)
  }
  ledger.append([ended('a', 3)])
  await clock.advance(120_000)
  late.resolve()
  await clock.advance(60_000)
  expect(endsOf('a')).toMatchObject([{ amount: 3 }])
  expect(log.warn).not.toHaveBeenCalled()
  recovery.stop()
})

test('nothing runs on after the end', async () => {
  const { recovery } = create()
  recovery.start()
  await clock.advance(1_000)
  recovery.stop()
  await clock.advance(0)
  expect(clock.pendingTimers).toBe(0)
})

test('a journal that is full keeps nobody from starting: what it holds is entered, and ended in the books', async () => {
  journalled(hold('a'), mark('a', 50))
  const room = journal.append
  Object.defineProperty(journal, 'full', { get: () => journal.pending > 0 })
  journal.append = (event) => (journal.pending > 0 ? 0 : room(event))
  const { recovery } = create()
  await recovery.endJournalled()
  expect(journal.pending).toBe(2)
  recovery.start()
  await clock.advance(60_000)
  recovery.stop()
  expect(endsOf('a')).toMatchObject([{ event: 'settle', outputTokens: 50 }])
})
