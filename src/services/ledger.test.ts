import { beforeEach, describe, expect, test, vi } from 'vitest'
import { createMemoryBooks } from '../../adapters/memory/books.ts'
import { createMemoryJournal } from '../../adapters/memory/journal.ts'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { listening } from '../../tests/support/listening.ts'
import type { LedgerEvent, MarkEvent } from '../domain/ledger.ts'
import type { Journal, LedgerStore } from '../ports.ts'
import { instruments } from '../telemetry/instruments.ts'
import { createLedger, type Ledger } from './ledger.ts'

let clock: FakeClock
let metrics: FakeMetrics
let journal: Journal
let primary: string
let mode: { readOnly: boolean }
let stored: Map<string, MarkEvent>
let record: ReturnType<typeof vi.fn<LedgerStore['enter']>>
const log = { debug() {}, info() {}, warn: vi.fn(), error: vi.fn() }

const event = (n: number): MarkEvent => ({
  event: 'mark',
  accountId: 'account',
  operationId: `request-${n}`,
  outputTokens: n,
})
const done = { refused: 0, spendable: new Map() }
const create = (): Ledger => {
  const store = { ...createMemoryBooks({ clock }).ledgerStore, enter: record, primary: () => primary }
  const identity = { podId: 'pod', processId: 'process', pods: () => 1 }
  return createLedger({ clock, random: () => 0.5, journal, store, mode, metrics, log, ...identity })
}
const note = (ledger: Ledger, count: number, from = 0) => {
  for (let i = 0; i < count; i++) ledger.append([event(from + i)])
}

beforeEach(() => {
  clock = new FakeClock()
  metrics = new FakeMetrics()
  journal = createMemoryJournal()
  mode = { readOnly: false }
  primary = '00000001'
  stored = new Map()
  record = vi.fn(async (group) => {
    for (const each of JSON.parse(group)) stored.set(each.operationId, each)
    return done
  })
})

test('what was told is in the books 50 ms later, in one group', async () => {
  note(create(), 3)
  await clock.advance(49)
  expect(record).not.toHaveBeenCalled()
  await clock.advance(1)
  expect(record).toHaveBeenCalledOnce()
  expect([...stored.values()]).toEqual([event(0), event(1), event(2)])
  expect(journal.pending).toBe(0)
  await clock.advance(60_000)
  expect(record).toHaveBeenCalledOnce()
  expect(clock.pendingTimers).toBe(0)
})

test('500 do not wait, and no group is larger', async () => {
  note(create(), 1_250)
  await settled()
  expect(record.mock.calls.map(([group]) => JSON.parse(group).length).slice(0, 2)).toEqual([500, 500])
  await clock.advance(50)
  expect(stored.size).toBe(1_250)
})

test('while nothing may be written groups wait in the journal, and go when it may again', async () => {
  mode.readOnly = true
  const ledger = create()
  note(ledger, 700)
  await clock.advance(60_000)
  expect(record).not.toHaveBeenCalled()
  expect(journal.pending).toBe(700)
  mode.readOnly = false
  await clock.advance(600)
  expect(stored.size).toBe(700)
})

test('a database that fails is tried again with growing waits, and nothing is lost', async () => {
  const lost = new Error('lost')
  record.mockRejectedValueOnce(lost).mockRejectedValueOnce(lost).mockRejectedValueOnce(lost)
  note(create(), 3)
  await clock.advance(50)
  expect(record).toHaveBeenCalledTimes(1)
  await clock.advance(249)
  expect(record).toHaveBeenCalledTimes(1)
  await clock.advance(1 + 500 + 1_000)
  expect(stored.size).toBe(3)
  expect(metrics.counted(instruments.ledgerLostEvents)).toBe(0)
})

test('what a former process left is settled at the start', async () => {
  for (let i = 0; i < 3; i++) journal.append(JSON.stringify(event(i)))
  create()
  await clock.advance(0)
  expect(stored.size).toBe(3)
})

test('another primary is offered again what the one before took last: it may not have got it', async () => {
  const ledger = create()
  note(ledger, 3)
  await clock.advance(50)
  stored.delete('request-2')
  primary = '00000002'
  await clock.advance(1_000)
  expect([...stored.keys()].sort()).toEqual(['request-0', 'request-1', 'request-2'])
  await clock.advance(60_000)
  expect(record).toHaveBeenCalledTimes(2)
  primary = '00000003'
  note(ledger, 1, 3)
  await clock.advance(50)
  expect(record).toHaveBeenCalledTimes(3)
})

test('a primary that takes long to come is offered it, too', async () => {
  const ledger = create()
  note(ledger, 2)
  await clock.advance(50)
  mode.readOnly = true
  stored.clear()
  await clock.advance(300_000)
  primary = '00000002'
  await clock.advance(5_000)
  mode.readOnly = false
  await clock.advance(1_000)
  expect([...stored.keys()].sort()).toEqual(['request-0', 'request-1'])
  // It answers: what it has had for long is forgotten.
  await clock.advance(60_000)
  stored.clear()
  primary = '00000003'
  await clock.advance(5_000)
  expect(stored.size).toBe(0)
})

test('of what the one before took the newest 20,000 events at most are offered, however long it is away', async () => {
  const ledger = create()
  note(ledger, 25_000)
  await clock.advance(5_000)
  expect(stored.size).toBe(25_000)
  stored.clear()
  primary = '00000002'
  await clock.advance(1_000)
  expect(stored.size).toBe(20_000)
  expect([stored.has('request-4999'), stored.has('request-5000')]).toEqual([false, true])
})

test('what is too old to be offered takes no room from what is new', async () => {
  const ledger = create()
  for (let from = 0; from < 25_000; from += 5_000) {
    note(ledger, 5_000, from)
    await clock.advance(40_000)
  }
  note(ledger, 3, 25_000)
  await clock.advance(50)
  stored.clear()
  primary = '00000002'
  await clock.advance(1_000)
  expect([...stored.keys()].sort()).toEqual(['request-25000', 'request-25001', 'request-25002'])
})

test('what another primary does not take at first is offered to it until it has all of it', async () => {
  const ledger = create()
  note(ledger, 1_500)
  await clock.advance(50)
  stored.clear()
  primary = '00000002'
  const enter = record.getMockImplementation()!
  let offered = 0
  record.mockImplementation(async (group) => {
    if (++offered === 2) throw new Error('not yet')
    return enter(group)
  })
  await clock.advance(5_000)
  expect(stored.size).toBe(1_500)
})

test('a pod that ends enters what is left although nothing may be written: read-only is about callers', async () => {
  mode.readOnly = true
  const ledger = create()
  note(ledger, 3)
  await clock.advance(60_000)
  expect(stored.size).toBe(0)
  await ledger.stop({ timeoutMs: 1_000 })
  expect(stored.size).toBe(3)
})

test('a pod that ends waits for a database that is away, and says what is left where it does not come', async () => {
  const ledger = create()
  note(ledger, 3)
  let isAway = true
  const { getMockImplementation } = record
  const enter = getMockImplementation()!
  record.mockImplementation(async (group) => {
    if (isAway) throw new Error('away')
    return enter(group)
  })
  const stopped = ledger.stop({ timeoutMs: 60_000 })
  await clock.advance(20_000)
  isAway = false
  await clock.advance(1_000)
  await stopped
  expect(stored.size).toBe(3)

  isAway = true
  const other = create()
  note(other, 2, 3)
  const late = other.stop({ timeoutMs: 5_000 })
  await clock.advance(5_000)
  await late
  expect(log.error).toHaveBeenCalledWith('ledger events stay in the journal', { detail: expect.stringMatching(/^2:/) })
})

describe('what is lost is counted and logged:', () => {
  test('lines that were torn', () => {
    journal = { ...createMemoryJournal(), lost: 2 }
    create()
    expect(metrics.counted(instruments.ledgerLostEvents)).toBe(2)
  })

  test('events that the database refuses; the others of their group are settled', async () => {
    record.mockResolvedValueOnce({ ...done, refused: 1 })
    note(create(), 3)
    await clock.advance(50)
    expect(metrics.counted(instruments.ledgerLostEvents)).toBe(1)
    expect(journal.pending).toBe(0)
  })

  test('events for which the journal has no room', () => {
    journal = createMemoryJournal({ maxBytes: 10 })
    note(create(), 1)
    expect(metrics.counted(instruments.ledgerLostEvents)).toBe(1)
  })
})

describe('at the end', () => {
  test('what is left is settled', async () => {
    const ledger = create()
    note(ledger, 3)
    await ledger.stop({ timeoutMs: 1_000 })
    expect(stored.size).toBe(3)
    expect(clock.pendingTimers).toBe(0)
  })

  test('a database that does not answer is not waited for longer than allowed', async () => {
    record.mockReturnValue(new Promise(() => {}))
    const ledger = create()
    note(ledger, 3)
    const stopped = ledger.stop({ timeoutMs: 1_000 })
    await clock.advance(1_000)
    await stopped
    expect(journal.pending).toBe(3)
  })
})

test('who waits until all is in the books leaves no listener', async () => {
  const ledger = create()
  const { signal } = new AbortController()
  const listeners = listening(signal)
  for (let i = 0; i < 3; i++) {
    note(ledger, 1, i)
    const entered = ledger.entered(signal)
    await clock.advance(50)
    await entered
  }
  expect(listeners()).toBe(0)
})

describe('an operation', () => {
  const terms = {
    endpoint: 'e',
    model: 'm',
    provider: 'p',
    streamed: true,
    base: 0,
    outputPerMillion: 0,
    inputTokens: 0,
  }
  const usage = { model: 'm', inputTokens: 1, cachedInputTokens: 0, outputTokens: 2 }
  const ending = (cost: number) => ({ cost, delivered: true, usage, facts: undefined })
  let told: LedgerEvent[]

  beforeEach(() => {
    told = []
    const { append } = journal
    journal.append = (line) => {
      told.push(JSON.parse(line))
      return append(line)
    }
  })
  const hold = async (ledger: Ledger, amount = 100) =>
    ledger.hold({
      ...{ id: 'one', amount, terms, signal: new AbortController().signal },
      principal: {
        ...{ accountId: 'account', keyId: 'key', role: 'user', scopes: [] },
        limits: { key: {}, account: {} },
      },
    })
  const createRich = () => {
    const store = createMemoryBooks({ clock, everyoneHas: 1_000 }).ledgerStore
    const identity = { podId: 'pod', processId: 'process', pods: () => 1 }
    return createLedger({ clock, random: () => 0.5, journal, store, mode, metrics, log, ...identity })
  }

  test('ends once: what comes later changes nothing', async () => {
    const operation = await hold(createRich())
    await operation.end(ending(30))
    expect(operation.end(ending(99))).toBeUndefined()
    expect(operation.mark(1_000)).toBeUndefined()
    expect(told.map(({ event }) => event)).toEqual(['hold', 'settle'])
    expect(operation.purse).toMatchObject({ open: 0, free: 70, lastEvent: 2 })
  })

  test('is marked every 50 tokens', async () => {
    const operation = await hold(createRich())
    for (let tokens = 1; tokens <= 160; tokens++) await operation.mark(tokens)
    expect(told.slice(1)).toMatchObject([50, 100, 150].map((outputTokens) => ({ event: 'mark', outputTokens })))
  })

  test('that the journal did not take is not begun, and holds nothing', async () => {
    journal.written = () => Promise.reject(new Error('no space'))
    await expect(hold(createRich())).rejects.toMatchObject({ code: 'usage_unrecordable' })
    expect(told).toMatchObject([{ event: 'hold' }, { event: 'release', amount: 0 }])
  })

  test('is not begun where its line finds no room, and what was taken for it is given back', async () => {
    const ledger = createRich()
    journal.append = () => 0
    await expect(hold(ledger, 1_000)).rejects.toMatchObject({ code: 'usage_unrecordable' })
    journal.append = createMemoryJournal().append
    expect((await hold(ledger, 1_000)).purse).toMatchObject({ open: 1, free: 0 })
  })

  test('whose end is lost keeps its hold for the books', async () => {
    const operation = await hold(createRich())
    journal.append = () => 0
    expect(operation.end(ending(30))).toBeUndefined()
    await clock.advance(50)
    expect(told.map(({ event }) => event)).toEqual(['hold'])
    expect(metrics.counted(instruments.ledgerLostEvents)).toBe(1)
    expect(operation.purse.lastEvent).toBe(1)
  })

  test('of a pod that has stopped leaves no credit with it', async () => {
    const books = createMemoryBooks({ clock, everyoneHas: 1_000 })
    const identity = { podId: 'pod', processId: 'process', pods: () => 1 }
    const options = { clock, random: () => 0.5, journal, mode, metrics, log, ...identity }
    const ledger = createLedger({ ...options, store: books.ledgerStore })
    const operation = await hold(ledger)
    await operation.end(ending(30))
    await ledger.stop({ timeoutMs: 1_000 })
    expect(books.of('account')).toMatchObject({ available: 970, held: 0, leased: 0 })
  })

  test('is not begun where its hold finds no room in the journal', async () => {
    journal = { ...createMemoryJournal(), full: true }
    await expect(hold(createRich())).rejects.toMatchObject({ code: 'usage_unrecordable' })
  })
})

test('a hold that ended before it was entered is not in the books: its end says it all', async () => {
  const ledger = create()
  const entered: string[][] = []
  record.mockImplementation(async (group) => {
    entered.push(JSON.parse(group).map(({ event }: { event: string }) => event))
    return done
  })
  const terms = {
    ...{ endpoint: 'e', model: 'm', provider: 'p', streamed: false, base: 0, outputPerMillion: 0, inputTokens: 0 },
  }
  const hold = (id: string) =>
    ledger.hold({
      ...{ id, amount: 0, terms, signal: new AbortController().signal },
      principal: {
        ...{ accountId: 'account', keyId: 'key', role: 'user', scopes: [] },
        limits: { key: {}, account: {} },
      },
    })
  const ending = {
    ...{ cost: 0, delivered: true, facts: undefined },
    usage: { model: 'm', inputTokens: 0, cachedInputTokens: 0, outputTokens: 0 },
  }
  const [short, long] = [await hold('short'), await hold('long')]
  await short.end(ending)
  await clock.advance(50)
  await long.end(ending)
  await clock.advance(50)
  expect(entered).toEqual([['hold', 'settle'], ['settle']])
})
