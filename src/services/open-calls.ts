/**
 * What is open to rented machines, within bounds, and closed when the machine is its caller's no more: its rental has
 * ended, stopped or moved; or when its caller is none any more. All of them are looked at together, every two seconds while there are any.
 */
import { type Endpoint, type Rental, sameEndpoint } from '../domain/rental.ts'
import { ApiError } from '../errors.ts'
import type { Clock, Log, Rentals } from '../ports.ts'

export interface OpenCallsOptions {
  clock: Clock
  rentals: Pick<Rentals, 'byIds'>
  log: Log
  /** Open at once on this pod. @default 2_000 calls, 1_000 tunnels */
  max?: Record<OpenKind, number>
  /** Of those, to one machine. @default 256 */
  maxPerMachine?: number
}

const openKinds = ['calls', 'tunnels'] as const
export type OpenKind = (typeof openKinds)[number]

export interface OpenCalls {
  /**
   * The signal aborts with an ApiError when the call has to end. `end` is to be called when it has.
   * @throws ApiError `overloaded`
   */
  open(
    kind: OpenKind,
    rental: Rental,
    endpoint: Endpoint,
    stillGood: () => Promise<boolean>,
  ): { signal: AbortSignal; end(): void }
  counts(): [kind: OpenKind, count: number][]
  /** Ends them all. */
  stop(): void
}

interface Open {
  kind: OpenKind
  rentalId: string
  endpoint: Endpoint
  /** Whether its caller may still do this. */
  stillGood: () => Promise<boolean>
  controller: AbortController
}

const everyMs = 2_000
const atOnce = { calls: 2_000, tunnels: 1_000 }

export function createOpenCalls(options: OpenCallsOptions): OpenCalls {
  const { clock, rentals, log, max = atOnce, maxPerMachine = 256 } = options
  const all = new Set<Open>()
  const count = (holds: (open: Open) => boolean) =>
    Iterator.from(all)
      .filter(holds)
      .reduce((sum) => sum + 1, 0)
  let isWatching = false
  let isStopped = false

  async function look() {
    await Promise.all(
      Array.from(all, async ({ stillGood, controller }) => {
        if (!(await stillGood())) controller.abort(new ApiError('invalid_credential'))
      }),
    )
    const ids = new Set(Iterator.from(all).map(({ rentalId }) => rentalId))
    // Without its rentals nobody can end one either: what is open stays so until the database is back.
    const found = await rentals.byIds([...ids]).catch((cause) => {
      log.warn('open calls to instances could not be looked at', { error: String(cause) })
    })
    if (!found) return
    const byId = new Map(found.map((rental) => [rental.id, rental]))
    for (const { rentalId, endpoint, controller } of all) {
      // Opened while the database was asked: its rental was read for it.
      if (!ids.has(rentalId)) continue
      const rental = byId.get(rentalId)
      const isThere = rental?.state === 'running' && rental.endpoints.some((each) => sameEndpoint(each, endpoint))
      if (!isThere) controller.abort(new ApiError('instance_not_running'))
    }
  }

  function watch() {
    if (isWatching || all.size === 0) return
    isWatching = true
    clock.setTimer(everyMs, () => {
      void look().then(() => {
        isWatching = false
        watch()
      })
    })
  }

  return {
    open(kind, { id: rentalId }, endpoint, stillGood) {
      const isFull =
        count((open) => open.kind === kind) >= max[kind] || count((open) => open.rentalId === rentalId) >= maxPerMachine
      if (isFull || isStopped) throw new ApiError('overloaded', { retryAfterMs: 1_000 })
      const open: Open = { kind, rentalId, endpoint, stillGood, controller: new AbortController() }
      all.add(open)
      watch()
      return {
        signal: open.controller.signal,
        end() {
          all.delete(open)
          // Whatever is left of it at the machine has nobody who wants it.
          open.controller.abort(new ApiError('client_closed'))
        },
      }
    },
    counts: () => openKinds.map((kind) => [kind, count((open) => open.kind === kind)]),
    stop() {
      isStopped = true
      const stopping = new ApiError('stream_interrupted', { message: 'The gateway is stopping. Ask again.' })
      for (const { controller } of all) controller.abort(stopping)
    },
  }
}
