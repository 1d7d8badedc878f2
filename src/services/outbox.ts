/**
 * Tells the billing system what was used: the operations of an account bound into charges, one after the other, each
 * sent until it is answered. What was bound is in the database before it is sent, so whoever goes on after a crash, or
 * in place of another pod, sends the same charge under the same key: at least once from here, exactly once there.
 */
import type { Charge } from '../domain/charge.ts'
import type { BillingOutbox, Clock, Log, Metrics, Turn, WriteMode } from '../ports.ts'
import type { Billing } from '../providers/billing.ts'
import { createBackoff } from '../resilience/backoff.ts'
import { instruments } from '../telemetry/instruments.ts'
import { UpstreamFailure } from '../upstream/outcome.ts'
import { atMost, startBackground } from './background.ts'

export interface OutboxOptions {
  clock: Clock
  random: () => number
  newId: () => string
  store: BillingOutbox
  /** Undefined: not configured, and all waits. */
  billing: Billing | undefined
  mode: Pick<WriteMode, 'readOnly'>
  metrics: Metrics
  log: Log
}

export interface Outbox {
  /** Nothing new is begun. Resolves when what is under way has ended; after so long it is cut off, for others to go on. */
  stop(options: { timeoutMs: number }): Promise<void>
}

const maxAccounts = 8
const maxOperations = 500
/** Then it is another account's turn. */
const maxChargesInTurn = 20
const everyMs = 1_000
/** Longer than a charge takes with all its tries. */
const turnMs = 90_000
const countEveryMs = 5_000
/** For all accounts, when the billing system is not asked for now: at least, and at most. */
const restMs = { least: 1_000, most: 60_000 }

export function createOutbox(options: OutboxOptions): Outbox {
  const { clock, random, store, billing, mode, metrics, log } = options
  const holder = options.newId()
  const backoff = createBackoff({ random, initialMs: 1_000, maxMs: 60_000 })
  const cutting = new AbortController()
  const turns = new Set<Promise<void>>()
  let stopping = false
  let restsUntil = -Infinity
  let failing = false
  let waiting = 0
  let countedAt = -Infinity

  metrics.gauge(instruments.billingOutboxPending, () => [[{}, waiting]])

  async function round(): Promise<boolean> {
    if (clock.now() - countedAt >= countEveryMs) {
      countedAt = clock.now()
      waiting = await store.pending()
    }
    if (!billing || mode.readOnly || clock.now() < restsUntil) return false
    const free = maxAccounts - turns.size
    const taken = await store.takeTurns({ holder, max: free, forMs: turnMs })
    for (const turn of taken) {
      const work = deliver(billing, turn).finally(() => turns.delete(work))
      turns.add(work)
    }
    if (taken.length < free) return false
    await Promise.race(turns)
    return true
  }

  /** Does not reject. */
  async function deliver(billing: Billing, turn: Turn): Promise<void> {
    let { failures } = turn
    let rest = 0
    try {
      for (let n = 0; n < maxChargesInTurn && !stopping && !mode.readOnly; n++) {
        const charge = await store.nextCharge(turn, { maxOperations, forMs: turnMs })
        if (!charge) break
        await send(billing, charge)
        failures = 0
        // What came in meanwhile is worth a charge in the next round.
        if (charge.operations.length < maxOperations) break
      }
    } catch (error) {
      if (!cutting.signal.aborted) {
        if (!isLocal(error)) failures++
        rest = backoff.afterFailure(failures)
        noteFailure(error, turn)
      }
    }
    // Where it cannot be given back it runs out.
    await store.endTurn(turn, { restMs: rest, failures }).catch(() => {})
  }

  async function send(billing: Billing, charge: Charge): Promise<void> {
    const answer = await billing.charge(charge, cutting.signal)
    if (failing) log.warn('the billing system takes charges again')
    failing = false
    const { accountId: account_id, id } = charge
    if ('refused' in answer) {
      await store.finish(charge, { state: 'parked', reason: answer.refused })
      metrics.count(instruments.billingCharges, { result: 'parked' })
      log.error('the billing system refused a charge; it is parked', { account_id, detail: `${id}: ${answer.refused}` })
    } else {
      await store.finish(charge, { state: 'delivered', transactionId: answer.transactionId })
      metrics.count(instruments.billingCharges, { result: 'delivered' })
    }
  }

  function noteFailure(error: unknown, { accountId: account_id }: Turn) {
    metrics.count(instruments.billingCharges, { result: 'failed' })
    if (!(error instanceof UpstreamFailure)) {
      log.warn('a charge could not be delivered', { account_id, error: String(error) })
      return
    }
    const { class: code, details } = error
    const refusesUs = code === 'config'
    const hint = refusesUs ? restMs.most : details.retryAfterMs
    if (hint !== undefined) {
      restsUntil = clock.now() + Math.min(Math.max(hint, restMs.least), restMs.most)
    }
    if (refusesUs) log.error('the billing system refuses our credential or address', { status: details.status })
    else if (!failing) {
      const fields = { account_id, code, status: details.status }
      log.warn('the billing system does not take charges; they wait', fields)
    }
    failing = true
  }

  const background = startBackground({
    clock,
    random,
    everyMs,
    round,
    onError: (error) => log.warn('the billing outbox cannot be read', { error: String(error) }),
  })

  return {
    async stop({ timeoutMs }) {
      stopping = true
      const ended = background.stop().then(() => Promise.all(turns))
      await atMost(clock, timeoutMs, ended)
      cutting.abort(new Error('the gateway stops'))
      await ended
    },
  }
}

/** Refused by our own guards: nothing of that account has failed. */
const isLocal = (error: unknown) => error instanceof UpstreamFailure && error.class === 'local'
