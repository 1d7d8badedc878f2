/**
 * Pods that hold, spend, lose the books, die and come back in random order, all on the credit of one account, of which one
 * key may spend a part. Requests cost what was held for them at most, so no more may ever be let in than there is. fast-check
 * prints the seed of a history that breaks it.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createMemoryBooks } from '../../adapters/memory/books.ts'
import { createMemoryJournal } from '../../adapters/memory/journal.ts'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { seededRandom } from '../../tests/support/seeded-random.ts'
import type { Terms } from '../domain/ledger.ts'
import type { Principal } from '../domain/principal.ts'
import { type LedgerStore, StorageUnavailable } from '../ports.ts'
import { sleep } from '../resilience/clock.ts'
import { createLedger, type Operation } from './ledger.ts'
import { createLedgerRecovery } from './ledger-recovery.ts'

const accountId = 'account'
const credit = 10_000
const budget = 4_000
const podCount = 3
const log = { debug() {}, info() {}, warn() {}, error() {} }
const never = new AbortController().signal
const principal = (hasBudget: boolean): Principal => ({
  ...{ accountId, keyId: hasBudget ? 'limited' : 'key', role: 'user', scopes: ['inference'] },
  limits: { key: hasBudget ? { budgetPerDay: budget } : {}, account: {} },
})
const usage = { model: 'm', inputTokens: 0, cachedInputTokens: 0, outputTokens: 0 }

type Step =
  | { do: 'begin'; pod: number; amount: number; hasBudget: boolean }
  | { do: 'end'; which: number; parts: number }
  | { do: 'wait'; ms: number }
  | { do: 'kill'; pod: number }
  | { do: 'books'; are: 'there' | 'away' | 'mute'; ms: number }
  | { do: 'outage' }

const pod = fc.nat(podCount - 1)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('begin' as const),
      pod,
      hasBudget: fc.boolean(),
      amount: fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 1, max: 400 }) }, fc.integer({ min: 1, max: 6_000 })),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('end' as const), which: fc.nat(30), parts: fc.nat(4) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.oneof({ weight: 4, arbitrary: fc.nat(200) }, fc.nat(4_000), fc.nat(20_000)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('kill' as const), pod }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('books' as const),
      are: fc.constantFrom('there' as const, 'away' as const, 'mute' as const),
      ms: fc.nat(300),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('outage' as const) }) },
)

async function world(seed: number) {
  const clock = new FakeClock()
  const random = seededRandom(seed)
  const memory = createMemoryBooks({ clock })
  const { ledgerStore: store } = memory
  await memory.credits.grant(accountId, { id: 'one', kind: 'granted', amount: credit })
  const books = { are: 'there' as 'there' | 'away' | 'mute', ms: 0 }
  const mode = { readOnly: false }
  const operations: { id: string; pod: number; hasBudget: boolean; operation: Operation; cost: number | undefined }[] =
    []
  let [started, requests] = [0, 0]

  /** A call that takes its time, and may fail, with its effect or without. What a dead process asks is answered to nobody. */
  function reached(life: { dead: boolean }): LedgerStore {
    const call = async <T>(run: () => Promise<T>): Promise<T> => {
      await sleep(clock, random() * books.ms, never)
      if (life.dead) return new Promise(() => {})
      if (books.are === 'away') throw new StorageUnavailable('away')
      const result = await run()
      if (books.are === 'mute') throw new StorageUnavailable('mute', { mayHaveRun: true })
      return result
    }
    return {
      ...store,
      enter: (group) => call(() => store.enter(group)),
      lease: (ask) => call(() => store.lease(ask)),
      giveBack: (slices) => call(() => store.giveBack(slices)),
      // A replica tells it.
      look: (id) => store.look(id),
    }
  }

  function start(podId: string, journal = createMemoryJournal(), former: string[] = []) {
    const life = { dead: false }
    const processId = `process-${++started}`
    const reachedStore = reached(life)
    // The one in memory does not tell pods apart.
    reachedStore.endFormerLeases = async () => {
      const slices = former.flatMap((processId) => [accountId, 'limited'].map((purseId) => ({ purseId, processId })))
      await store.giveBack(slices.map((slice) => ({ ...slice, accountId, amount: 'all' })))
    }
    const own = { clock, random, journal, store: reachedStore, mode, log, podId, processId }
    const ledger = createLedger({ ...own, metrics: new FakeMetrics(), pods: () => podCount })
    const recovery = createLedgerRecovery({
      ...own,
      ...{ ledger, onFormerEnded: async () => {}, requestTimeoutMs: () => 1e9 },
    })
    return { life, podId, processes: [...former, processId], journal, ledger, recovery }
  }
  const pods = Array.from({ length: podCount }, (_, i) => start(`pod-${i}`))

  async function kill(i: number) {
    const { life, podId, processes, journal, recovery } = pods[i]!
    life.dead = true
    recovery.stop()
    pods[i] = start(podId, journal, processes)
    await pods[i]!.recovery.endJournalled()
    pods[i]!.recovery.start()
    for (const each of operations) if (each.pod === i) each.pod = -1
  }

  async function begin(i: number, amount: number, hasBudget = false) {
    const { ledger, life } = pods[i]!
    const id = `request-${++requests}`
    const base = Math.ceil(amount / 2)
    const terms: Terms = {
      ...{ endpoint: 'chat/completions', model: 'm', provider: 'p', streamed: false },
      ...{ base, outputPerMillion: 0, inputTokens: 1 },
    }
    const ask = { id, principal: principal(hasBudget), amount, terms, signal: never }
    const operation = await ledger.hold(ask).catch(() => undefined)
    if (operation) operations.push({ id, pod: life.dead ? -1 : i, hasBudget, operation, cost: undefined })
    return operation !== undefined
  }

  function end(which: number, parts: number) {
    const open = operations.filter(({ pod, cost }) => pod >= 0 && cost === undefined)
    const ended = open[which % open.length]
    if (!ended) return
    ended.cost = Math.floor((ended.operation.held * parts) / 4)
    void ended.operation.end({ cost: ended.cost, delivered: ended.cost > 0, usage, facts: undefined })
  }

  return {
    ...{ clock, books, mode, pods, begin, end, kill },
    book: memory.of(accountId),
    open: () => operations.some(({ pod, cost }) => pod >= 0 && cost === undefined),
    /** What was let in: at what it came to, or at what it may. */
    letIn({ limited = false } = {}) {
      const told = new Map(store.ends.map(({ operationId, amount }) => [operationId, amount]))
      return operations
        .filter(({ hasBudget }) => hasBudget || !limited)
        .reduce((sum, { id, operation, cost }) => sum + (told.get(id) ?? cost ?? operation.held), 0)
    },
    stop() {
      for (const { recovery } of pods) recovery.stop()
    },
  }
}

/** A pod that comes back while nothing may be written does not know what it has spent of its part before: one or the other. */
test.each([
  ['deaths', 'outage'],
  ['outages', 'kill'],
])(
  'no history with %s spends more than there is, and what is left can be spent',
  async (_, not) => {
    const history = fc.array(step, { minLength: 5, maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(fc.integer(), history, async (seed, all) => {
        const w = await world(seed)
        const steps = all.filter((each) => each.do !== not)
        for (const each of steps) {
          if (each.do === 'begin') void w.begin(each.pod, each.amount, each.hasBudget)
          else if (each.do === 'end') w.end(each.which, each.parts)
          else if (each.do === 'wait') await w.clock.advance(each.ms)
          else if (each.do === 'kill') await w.kill(each.pod)
          else if (each.do === 'books') Object.assign(w.books, { are: each.are, ms: each.ms })
          else w.mode.readOnly = !w.mode.readOnly
          await settled()
          expect(w.letIn()).toBeLessThanOrEqual(credit)
          expect(w.letIn({ limited: true })).toBeLessThanOrEqual(budget)
        }
        Object.assign(w.books, { are: 'there', ms: 0 })
        w.mode.readOnly = false
        await w.clock.advance(5_000)
        while (w.open()) w.end(0, 1)
        await w.clock.advance(60_000)
        const left = credit - w.letIn()
        expect(w.book).toMatchObject({ available: left, held: 0, leased: 0 })
        const last = w.begin(0, left)
        await w.clock.advance(1_000)
        expect(await last).toBe(true)
        w.stop()
      }),
      { numRuns: 150 },
    )
  },
  60_000,
)
