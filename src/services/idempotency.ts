/**
 * One effect for each Idempotency-Key. Whoever claims it executes; all others are told that it is being executed, or how
 * it ended. An execution that went silent is reconciled first: what may have been sent to a provider is never sent again.
 */
import type { Ending, HeldKey, IdempotencyKey, StoredAnswer } from '../domain/idempotency.ts'
import { ApiError } from '../errors.ts'
import type { Clock, Idempotency, Log, Metrics, OutcomeOf, WriteMode } from '../ports.ts'
import { instruments } from '../telemetry/instruments.ts'
import { createHeldKeys } from './held-keys.ts'
import { startKeyPurge } from './key-purge.ts'

export interface IdempotencyOptions {
  clock: Clock
  random: () => number
  store: Idempotency
  outcomeOf: OutcomeOf
  mode: Pick<WriteMode, 'readOnly'>
  metrics: Pick<Metrics, 'count'>
  log: Pick<Log, 'warn'>
}

export interface KeyedExecutions {
  /** @throws ApiError where the key is another's, another request's, or cannot be kept. */
  begin(key: IdempotencyKey, request: { requestId: string; fingerprint: string }): Promise<Execution | Replay>
  stop(): void
}

export interface Replay {
  kind: 'replay'
  /** Of the execution that gave this answer. */
  requestId: string
  answer: StoredAnswer
}

/**
 * Exactly one of these is called, once. Each resolves when it is stored or, where the database does not take it, is going
 * on behind the caller's back.
 */
export interface Execution {
  kind: 'execution'
  end(ending: Ending): Promise<void>
  /** Nothing came of it. */
  release(): Promise<void>
  /** Nobody here knows whether anything came of it. */
  doubt(): Promise<void>
}

const maxHeld = 10_000
const maxClaims = 3
const retryAfterMs = 1_000

export function createKeyedExecutions(options: IdempotencyOptions): KeyedExecutions {
  const { clock, random, store, outcomeOf, mode, metrics, log } = options
  const held = createHeldKeys({ clock, random, store, log })
  const stopPurge = startKeyPurge({ clock, random, store, mode, log })
  const count = (result: string) => metrics.count(instruments.idempotentRequests, { result })

  function execution(key: HeldKey): Execution {
    count('executed')
    held.add(key)
    const lost = () => store.end(key, { outcome: 'lost' })
    const release = () => store.release(key)
    return {
      kind: 'execution',
      end: (ending) => held.settle(key, () => store.end(key, ending)),
      release: () => held.settle(key, release),
      doubt: () =>
        held.settle(key, async () => {
          const outcome = await outcomeOf(key.accountId, key.requestId, undefined)
          await (outcome === 'none' ? release() : lost())
        }),
    }
  }

  /** Undefined: it has changed since, and is to be looked at again. */
  async function reconcile(key: HeldKey, silent: HeldKey, podId: string | undefined): Promise<Execution | undefined> {
    if ((await outcomeOf(silent.accountId, silent.requestId, podId)) === 'none') {
      return (await store.takeOver(key, silent)) ? execution(key) : undefined
    }
    await store.end(silent, { outcome: 'lost' })
    return undefined
  }

  async function claim(key: HeldKey, fingerprint: string): Promise<Execution | Replay> {
    for (let i = 0; i < maxClaims; i++) {
      const claim = await store.claim(key, fingerprint)
      switch (claim.state) {
        case 'claimed':
          return execution(key)
        case 'mismatch':
          throw refusal('idempotency_mismatch')
        case 'running':
          throw inFlight(claim.requestId)
        case 'ended': {
          const { ending, requestId } = claim
          if (ending.outcome === 'answered') return { kind: 'replay', requestId, answer: ending.answer }
          throw refusal(
            ending.outcome === 'lost' ? 'idempotency_outcome_lost' : 'idempotency_answer_too_large',
            requestId,
          )
        }
        case 'silent': {
          const taken = await reconcile(key, { ...key, requestId: claim.requestId }, claim.podId)
          if (taken) return taken
        }
      }
    }
    throw inFlight()
  }

  async function begin(
    key: IdempotencyKey,
    { requestId, fingerprint }: { requestId: string; fingerprint: string },
  ): Promise<Execution | Replay> {
    try {
      if (mode.readOnly || held.size >= maxHeld) throw unavailable()
      const begun = await claim({ ...key, requestId }, fingerprint)
      if (begun.kind === 'replay') count('replayed')
      return begun
    } catch (error) {
      const told = error instanceof ApiError ? error : unavailable(error)
      count(told.code.replace('idempotency_', ''))
      throw told
    }
  }

  return {
    begin,
    stop() {
      stopPurge()
      held.stop()
    },
  }
}

const unavailable = (cause?: unknown) => new ApiError('idempotency_unavailable', { cause, retryAfterMs })

const ranAs = (requestId: string) => ({ 'x-gpuproxy-original-request-id': requestId })

const inFlight = (requestId?: string) =>
  new ApiError('idempotency_in_flight', {
    retryAfterMs,
    shouldRetry: true,
    ...(requestId && { headers: ranAs(requestId) }),
  })

/** Asking again changes nothing. */
const refusal = (
  code: 'idempotency_mismatch' | 'idempotency_outcome_lost' | 'idempotency_answer_too_large',
  requestId?: string,
) => new ApiError(code, { shouldRetry: false, ...(requestId && { headers: ranAs(requestId) }) })
