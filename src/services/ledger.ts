/**
 * What requests cost, exactly once. Credit is held in memory, the hold is in the journal before anything leaves for a
 * provider, and the end before the last byte leaves for the caller; the books get both in groups. Every event has a key,
 * so one that is told twice changes nothing, and what a dead process left open is ended by the next one.
 */
import type { EndEvent, HoldEvent, LedgerEvent, MarkEvent, Terms } from '../domain/ledger.ts'
import { ledgerLine } from '../domain/ledger-line.ts'
import type { MicroUsd } from '../domain/money.ts'
import type { Principal } from '../domain/principal.ts'
import { ApiError } from '../errors.ts'
import type { Clock, Journal, LedgerStore, Log, Metrics, WriteMode } from '../ports.ts'
import { createBackoff } from '../resilience/backoff.ts'
import { sleep } from '../resilience/clock.ts'
import { instruments } from '../telemetry/instruments.ts'
import { createPurses, type Purse, type Purses } from './purses.ts'

export interface LedgerOptions {
  clock: Clock
  random: () => number
  journal: Journal
  store: LedgerStore
  mode: Pick<WriteMode, 'readOnly'>
  metrics: Metrics
  log: Log
  /** Of the folder that the journal is in. */
  podId: string
  /** Of this run. */
  processId: string
  /** Pods that live, this one included. */
  pods: () => number
}

export interface Ledger {
  /** Resolves when `amount` is held and the hold outlives this process. @throws ApiError where it may not be spent. */
  hold(request: {
    id: string
    principal: Principal
    amount: MicroUsd
    terms: Terms
    signal: AbortSignal
  }): Promise<Operation>
  /** An operation that cost nothing, and held nothing. */
  note(principal: Principal, end: Omit<OperationEnd, 'cost' | 'providerCost'>, id: string): void
  /** For what ends operations that nobody else can end. */
  append(events: readonly LedgerEvent[]): boolean
  /** Nothing more can be noted: what would have to be must not be served. */
  readonly full: boolean
  /** Resolves when all that is in the journal now is in the books. */
  entered(signal: AbortSignal): Promise<void>
  /** Enters what is left, which is tried for at most so long, and gives credit back. */
  stop(options: { timeoutMs: number }): Promise<void>
}

export interface OperationEnd {
  cost: MicroUsd
  /** What the provider bills for it, in micro-dollars and parts of them. @default not known */
  providerCost?: number | undefined
  /** False: nothing was delivered. */
  delivered: boolean
  usage: Pick<EndEvent, 'model' | 'inputTokens' | 'cachedInputTokens' | 'outputTokens'>
  facts: EndEvent['facts']
}

/** Credit that is held for one request. A class, since one is made for each. */
export class Operation {
  readonly held: MicroUsd
  readonly purse: Purse
  private ended = false
  private markedTokens = 0
  private readonly id: string
  private readonly keyId: string
  private readonly holdPosition: number
  private readonly owner: Owner
  constructor(owner: Owner, purse: Purse, keyId: string, id: string, held: MicroUsd, holdPosition: number) {
    this.owner = owner
    this.holdPosition = holdPosition
    this.purse = purse
    this.keyId = keyId
    this.id = id
    this.held = held
  }

  /**
   * So much is about to be delivered. What a pod that dies leaves is billed by the last of these, so a promise is waited
   * for before it is; most calls need none.
   */
  mark(outputTokens: number): Promise<void> | undefined {
    if (this.ended || outputTokens < this.markedTokens + markEveryTokens) return undefined
    this.markedTokens = outputTokens
    const { accountId } = this.purse
    this.owner.append({ event: 'mark', accountId, operationId: this.id, outputTokens } satisfies MarkEvent)
    return this.owner.hurry()
  }

  /** The first call counts. Resolves when the end outlives this process, or cannot. */
  end({ cost, providerCost, delivered, usage, facts }: OperationEnd): Promise<void> | undefined {
    if (this.ended) return undefined
    this.ended = true
    const { accountId, id: purseId } = this.purse
    this.owner.purses.spend(this.purse, this.held, cost)
    const position = this.owner.append({
      event: delivered ? 'settle' : 'release',
      accountId,
      operationId: this.id,
      keyId: this.keyId,
      purseId,
      processId: this.owner.processId,
      amount: cost,
      at: this.owner.clock.wallNow(),
      model: usage.model,
      inputTokens: usage.inputTokens,
      cachedInputTokens: usage.cachedInputTokens,
      outputTokens: usage.outputTokens,
      facts,
    } satisfies EndEvent)
    if (providerCost !== undefined && facts) this.owner.countCost(facts.provider, { charged: cost, providerCost })
    // Lost: then the hold is all that the books will hear of it, and is ended as one that nobody ended.
    if (position === 0) return undefined
    this.owner.skip(this.holdPosition)
    this.purse.lastEvent = position
    return this.owner.hurry()
  }
}

interface Owner {
  clock: Clock
  processId: string
  purses: Purses
  /** Its position in the journal; 0 = it is lost. */
  append(event: LedgerEvent): number
  /** The rest of what was charged is the margin. Only for the operator's metrics: the books know of callers alone. */
  countCost(provider: string, of: { charged: MicroUsd; providerCost: number }): void
  /** This event need not be in the books: another one says all that it said. */
  skip(position: number): void
  hurry(): Promise<void>
}

/** Of a stream, between two checkpoints. */
export const markEveryTokens = 50
const groupSize = 500
const groupEveryMs = 50
/** While nothing may be written. */
const pausedMs = 500
const stopRetryMs = 200
/**
 * Replication is a moment late, so a promoted standby may lack the groups that its primary took last: they are told
 * again. Those of so long are kept for that, and at most so many events; while the primary does not answer none is too
 * old, since a standby may be promoted long after it.
 */
const keepMs = 30_000
const maxKept = 20_000
const keptCheckMs = 1_000

const neverBegun: OperationEnd = {
  cost: 0,
  delivered: false,
  usage: { model: '', inputTokens: 0, cachedInputTokens: 0, outputTokens: 0 },
  facts: undefined,
}

/** Joined once, brackets and all: around the joined text they would make a second copy of some hundred kilobytes. */
function arrayOf(events: readonly string[]): string {
  const items = [...events]
  items[0] = `[${items[0] ?? ''}`
  items[items.length - 1] += ']'
  return items.join(',')
}

export function createLedger(options: LedgerOptions): Ledger {
  const { clock, random, journal, store, mode, metrics, log, podId, processId } = options
  const purses = createPurses(options)
  const backoff = createBackoff({ random, initialMs: 500, maxMs: 10_000 })
  let cancel: (() => void) | undefined
  let entering: Promise<void> | undefined
  let failures = 0
  /** One text for each group, not one for each event: those would all outlive the collector's young generation. */
  const kept: { at: number; count: number; group: string }[] = []
  let keptEvents = 0
  let cancelKept: (() => void) | undefined
  let primary = store.primary()
  let stopped = false
  /** All up to there is in the books. */
  let enteredPosition = 0
  /** Holds that ended before they were entered: their end says it all. */
  const skipped = new Set<number>()
  let waiting: { upTo: number; resolve(): void }[] = []

  const lose = (count: number, why: string) => {
    if (count === 0) return
    metrics.count(instruments.ledgerLostEvents, {}, count)
    log.error('ledger events are lost', { detail: `${count}: ${why}` })
  }
  let toldLost = 0
  const tellLost = () => {
    lose(journal.lost - toldLost, 'unreadable in the journal')
    toldLost = journal.lost
  }
  tellLost()

  function append(event: LedgerEvent): number {
    const position = journal.append(ledgerLine(event))
    if (position === 0) lose(1, 'the journal is full')
    if (event.event !== 'mark') metrics.count(instruments.ledgerEntries, { kind: event.event })
    if (event.event === 'settle') metrics.count(instruments.revenue, { kind: 'inference' }, event.amount / 1e6)
    if (journal.pending >= groupSize && failures === 0 && !mode.readOnly) void enter()
    else wakeIn(groupEveryMs)
    return position
  }

  const unwritten = (error: unknown) => {
    // The line is in memory, on its way to the books; only a crash now would lose it.
    log.error('the journal did not take a line in time', { error: String(error) })
  }
  const skip = (position: number) => {
    if (position > enteredPosition) skipped.add(position)
  }
  const countCost: Owner['countCost'] = (provider, { charged, providerCost }) => {
    metrics.count(instruments.costedRevenue, { provider }, charged / 1e6)
    metrics.count(instruments.providerCost, { provider }, providerCost / 1e6)
  }
  const hurry = () => journal.written().catch(unwritten)
  const owner: Owner = { clock, processId, purses, append, countCost, skip, hurry }

  const wakeIn = (ms: number) => {
    if (stopped) return
    cancel ??= clock.setTimer(ms, () => {
      cancel = undefined
      void enter()
    })
  }

  const enter = () => {
    entering ??= run().finally(() => {
      entering = undefined
    })
    return entering
  }

  async function run(): Promise<void> {
    // A pod that ends tries all the same: read-only is about callers, and its journal may go with it.
    const isPaused = () => mode.readOnly && !stopped
    try {
      if (isPaused()) return wakeIn(pausedMs)
      await tellAgain()
      while (journal.pending > 0) {
        if (isPaused()) return wakeIn(pausedMs)
        if (!(await enterGroup())) return
        if (journal.pending < groupSize && !stopped && waiting.length === 0) break
      }
      failures = 0
      if (journal.pending > 0) wakeIn(groupEveryMs)
    } catch (error) {
      failures++
      if (failures === 1) log.warn('ledger events wait in the journal', { error: String(error) })
      wakeIn(backoff.afterFailure(failures))
    }
  }

  async function enterGroup(): Promise<boolean> {
    const entries = await journal.oldest(groupSize)
    tellLost()
    const last = entries.at(-1)
    if (!last) return false
    const events: string[] = []
    for (const { position, event } of entries) if (!skipped.has(position)) events.push(event)
    const group = arrayOf(events)
    const { refused, spendable } = await store.enter(group)
    keep(group, events.length)
    lose(refused, 'refused by the database')
    journal.settle(last.position)
    enteredPosition = last.position
    // Also those that were marked while their group was on its way.
    for (const { position } of entries) skipped.delete(position)
    // Those of lines that became unreadable.
    if (journal.pending === 0) skipped.clear()
    purses.entered(enteredPosition, spendable)
    waiting = waiting.filter(({ upTo, resolve }) => upTo > enteredPosition || resolve())
    return true
  }

  function keep(group: string, count: number) {
    kept.push({ at: clock.now(), count, group })
    keptEvents += count
    forgetOld()
    if (!stopped) cancelKept ??= clock.setTimer(keptCheckMs, checkKept)
  }

  function forgetOld() {
    const answers = !mode.readOnly && failures === 0 && store.primary() === primary
    const keptSince = answers ? clock.now() - keepMs : 0
    while (kept.length > 0 && (kept[0]!.at < keptSince || keptEvents > maxKept)) {
      keptEvents -= kept.shift()!.count
    }
  }

  /** Also where nothing more is served. */
  function checkKept() {
    cancelKept = undefined
    forgetOld()
    if (kept.length === 0) return
    cancelKept = clock.setTimer(keptCheckMs, checkKept)
    if (store.primary() !== primary) wakeIn(0)
  }

  async function tellAgain() {
    const now = store.primary()
    if (now === primary) return
    for (const { group } of [...kept]) await store.enter(group)
    primary = now
  }

  metrics.gauge(instruments.ledgerPending, () => [[{}, journal.pending]])
  if (journal.pending > 0) wakeIn(0)

  return {
    async hold({ id, principal, amount, terms, signal }) {
      if (journal.full) throw new ApiError('usage_unrecordable', { retryAfterMs: 5_000 })
      const purse = purses.of(principal)
      const taken = purses.take(purse, amount, signal)
      if (taken) await taken
      const { accountId, keyId } = principal
      const position = append({
        event: 'hold',
        accountId,
        operationId: id,
        keyId,
        purseId: purse.id,
        processId,
        podId,
        amount,
        at: clock.wallNow(),
        terms,
      } satisfies HoldEvent)
      if (position === 0) {
        purses.spend(purse, amount, 0)
        throw new ApiError('usage_unrecordable', { retryAfterMs: 5_000 })
      }
      purse.lastEvent = position
      const operation = new Operation(owner, purse, keyId, id, amount, position)
      try {
        await journal.written()
      } catch (cause) {
        void operation.end(neverBegun)
        throw new ApiError('usage_unrecordable', { cause, retryAfterMs: 5_000 })
      }
      return operation
    },
    note({ accountId, keyId }, { delivered, usage, facts }, id) {
      append({
        ...{
          event: delivered ? 'settle' : 'release',
          accountId,
          operationId: id,
          keyId,
          purseId: accountId,
          processId,
        },
        ...{ amount: 0, at: clock.wallNow(), ...usage, facts },
      } satisfies EndEvent)
    },
    append(events) {
      if (journal.full) return false
      for (const event of events) append(event)
      return true
    },
    get full() {
      return journal.full
    },
    entered(signal) {
      const upTo = journal.position
      if (journal.pending === 0) return Promise.resolve()
      return new Promise((resolve, reject) => {
        const onAbort = () => {
          waiting = waiting.filter((each) => each !== wait)
          reject(signal.reason)
        }
        const wait = {
          upTo,
          resolve() {
            signal.removeEventListener('abort', onAbort)
            resolve()
          },
        }
        waiting.push(wait)
        signal.addEventListener('abort', onAbort, { once: true })
        void enter()
      })
    },
    async stop({ timeoutMs }) {
      cancel?.()
      cancel = undefined
      cancelKept?.()
      cancelKept = undefined
      stopped = true
      let cancelTimer = () => {}
      const late = new Promise<void>((resolve) => {
        cancelTimer = clock.setTimer(timeoutMs, resolve)
      })
      const isLate = new AbortController()
      void late.then(() => isLate.abort())
      const all = async () => {
        await entering
        for (await enter(); journal.pending > 0; await enter()) await sleep(clock, stopRetryMs, isLate.signal)
        await purses.stop()
      }
      // The sleep of one that is late.
      await Promise.race([all().catch(() => {}), late])
      cancelTimer()
      if (journal.pending > 0) {
        log.error('ledger events stay in the journal', {
          detail: `${journal.pending}: keep DATA_DIR, and start on it again`,
        })
      }
    },
  }
}
