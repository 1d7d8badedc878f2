/**
 * Ends what a dead process left open. This pod's own former runs: by the journal before anything is served, and then by
 * the books, for holds whose lines had left the journal. Other pods that did not come back: by age.
 *
 * What was delivered is known up to the last checkpoint, so such an end is an estimate, and says so.
 */
import type { EndEvent, HoldEvent, LedgerEvent } from '../domain/ledger.ts'
import type { Clock, Journal, LedgerStore, Log, OpenHold, WriteMode } from '../ports.ts'
import { sleep } from '../resilience/clock.ts'
import type { Ledger } from './ledger.ts'

export interface LedgerRecoveryOptions {
  clock: Clock
  random: () => number
  journal: Pick<Journal, 'unsettled'>
  store: LedgerStore
  ledger: Pick<Ledger, 'append' | 'entered' | 'full'>
  mode: Pick<WriteMode, 'readOnly'>
  log: Log
  podId: string
  processId: string
  /** All that this pod's former runs noted is in the books. */
  onFormerEnded(): Promise<void>
  /** Longest time that a request may take at present, in ms. */
  requestTimeoutMs: () => number
}

export interface LedgerRecovery {
  /** What the journal holds the beginning of and not the end. Before anything is served. */
  endJournalled(): Promise<void>
  /** The rest, in the background, for as long as the process runs. */
  start(): void
  stop(): void
}

const groupSize = 200
const sweepEveryMs = 30_000
const retryMs = 2_000
/** A request has ended by then, wherever it runs. */
const holdGraceMs = 60_000
/** Living pods renew their leases eight times in this. */
const leaseLostMs = 120_000
/** Right after an outage all leases look old, until their pods have renewed them, and holds whose ends wait in journals. */
const quietSweeps = 3

export function createLedgerRecovery(options: LedgerRecoveryOptions): LedgerRecovery {
  const { clock, random, journal, store, ledger, mode, log, podId, processId, requestTimeoutMs, onFormerEnded } =
    options
  const stopping = new AbortController()
  const { signal } = stopping

  const end = (holds: readonly OpenHold[], why: string) => {
    if (holds.length === 0) return
    log.warn('operations that nobody ended are ended', { detail: `${holds.length}: ${why}` })
    if (!ledger.append(holds.map((hold) => endOf(hold, clock.wallNow())))) throw new Error('the journal is full')
  }

  async function endFormer() {
    for (;;) {
      await ledger.entered(signal)
      const holds = await store.formerHolds(podId, processId, groupSize)
      if (holds.length === 0) break
      end(holds, 'left by a former run')
    }
    await store.endFormerLeases(podId, processId)
    await onFormerEnded()
  }

  /** False: the books cannot be written. `quiet`: it is only looked whether they answer. */
  async function sweep(quiet: boolean): Promise<boolean> {
    if (mode.readOnly) return false
    // The ends of this pod's own are in the books before their holds are taken for abandoned.
    await ledger.entered(signal)
    const holds = await store.abandoned({ holdsOlderThanMs: requestTimeoutMs() + holdGraceMs, max: groupSize })
    if (quiet) return true
    end(holds, 'left by a pod that did not come back')
    await store.endAbandonedLeases(leaseLostMs)
    return true
  }

  async function run() {
    let former = true
    let quiet = 0
    for (;;) {
      let pauseMs = sweepEveryMs * (0.75 + random() / 2)
      try {
        if (former && !mode.readOnly) await endFormer()
        former &&= mode.readOnly
        quiet = (await sweep(quiet < quietSweeps)) ? quiet + 1 : 0
      } catch (error) {
        if (signal.aborted) return
        quiet = 0
        pauseMs = retryMs
        log.warn('the ledger could not be swept', { error: String(error) })
      }
      await sleep(clock, pauseMs, signal)
    }
  }

  return {
    async endJournalled() {
      const open = new Map<string, OpenHold>()
      for await (const { event } of journal.unsettled()) note(open, JSON.parse(event) as LedgerEvent)
      // A full journal must not keep the pod from starting: what it holds goes to the books, and is ended there.
      if (!ledger.full) end([...open.values()], 'left in the journal')
    },
    start() {
      run().catch(() => {}) // It ends with the sleep that `stop` interrupts.
    },
    stop: () => stopping.abort(),
  }
}

/** A mark or an end whose hold is in the books already says nothing here. */
function note(open: Map<string, OpenHold>, event: LedgerEvent) {
  if (event.event === 'hold') open.set(event.operationId, openHold(event))
  else if (event.event === 'mark') {
    const hold = open.get(event.operationId)
    if (hold) hold.outputTokens = event.outputTokens
  } else open.delete(event.operationId)
}

const openHold = ({ accountId, operationId, keyId, purseId, processId, amount, terms }: HoldEvent): OpenHold => ({
  ...{ accountId, operationId, keyId, purseId, processId, amount, terms, outputTokens: 0 },
})

function endOf(hold: OpenHold, wallNow: number): EndEvent {
  const { accountId, operationId, keyId, purseId, processId, terms, outputTokens } = hold
  const { model, provider, endpoint, streamed, inputTokens } = terms
  const cost = Math.min(hold.amount, terms.base + Math.ceil((outputTokens * terms.outputPerMillion) / 1e6))
  return {
    ...{ event: 'settle', accountId, operationId, keyId, purseId, processId, amount: cost, at: wallNow, model },
    ...{ inputTokens, cachedInputTokens: 0, outputTokens },
    facts: {
      ...{ endpoint, status: 0, streamed, provider, tries: [], totalMs: 0, providerMs: 0, source: 'estimated' },
      ...{ price: { outputPerMillion: terms.outputPerMillion }, held: hold.amount, cache: 'bypass', limits: {} },
      sandbox: terms.sandbox,
    },
  }
}
