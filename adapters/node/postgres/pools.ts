/**
 * The primary's connections, with permits of their own for each kind of work: a slow statement of one kind can only use
 * up what is its own. The connections themselves are shared, so few are open and those are warm.
 */
import { type Bulkhead, createBulkhead } from '../../../src/resilience/bulkhead.ts'
import {
  connectServer,
  createDatabase,
  type Database,
  type DatabaseOptions,
  defaults,
  type PoolRole,
  sweepEachSecond,
} from './client.ts'
import type { Connections } from './connections.ts'
import { addressesOf } from './driver.ts'
import { findPrimary, timelineOf } from './primary.ts'

export type PrimaryRole = Exclude<PoolRole, 'replica'>

export interface PoolsOptions extends Omit<DatabaseOptions, 'role'> {
  /** Connections that are opened after the start and kept, never more than `max`. @default 25 */
  min?: number
  /** Connections of all pods together; each takes its part of them. 0 = off. @default 0 */
  fleetMax?: number
  /** Pods that live, this one included; asked each second. @default () => 1 */
  pods?: () => number
}

/** So long a primary of an earlier timeline is no primary, after one of a later timeline was last heard of. */
const rememberTimelineMs = 10 * 60_000

export interface Pools extends Record<PrimaryRole, Database> {
  /** Looks which of several servers is the primary now and goes there. False: there is none. */
  findPrimary(): Promise<boolean>
  /** Of several servers, one that says this is a primary from before the last promotion that is known here. */
  isOutdated(timeline: string): boolean
  /** Open connections. */
  open(): number
  close(options: { timeoutS: number }): Promise<void>
}

export const primaryRoles = ['authentication', 'ledger', 'general', 'watch'] as const

/** Even one connection serves so many look-ups within the wait: a crowd of new keys must not be refused for its number. */
const minQueue = 256

/** How many of all are for each kind; the one who watches needs one, general work gets what is left. */
export function permitsOf(total: number): Record<PrimaryRole, number> {
  const quarter = Math.max(1, Math.floor((total - 1) / 4))
  return { authentication: quarter, ledger: quarter, watch: 1, general: Math.max(1, total - 1 - 2 * quarter) }
}

/** Of one pod; Infinity = no budget. */
export const fleetShare =
  ({ fleetMax = 0, pods = () => 1 }: Pick<PoolsOptions, 'fleetMax' | 'pods'>) =>
  () =>
    fleetMax > 0 ? Math.max(1, Math.floor(fleetMax / Math.max(1, pods()))) : Infinity

export async function connectPools(options: PoolsOptions): Promise<Pools> {
  const { min = 25, maxQueue } = options
  const settings = { ...defaults, ...options }
  const { clock } = settings
  const { connections, limit } = await connectServer(settings)

  const share = fleetShare(options)
  let total = Math.min(limit, share())
  const permits = {} as Record<PrimaryRole, Bulkhead>
  for (const role of primaryRoles) {
    const own = permitsOf(total)[role]
    permits[role] = createBulkhead({ clock, limit: own, maxQueue: maxQueue ?? Math.max(minQueue, 4 * own) })
  }
  /** With fewer than one for each, all kinds of work share what there is. */
  const permitsFor = (role: PrimaryRole) => permits[total < primaryRoles.length ? 'general' : role]

  const resize = () => {
    const next = Math.min(limit, share())
    if (next === total) return
    total = next
    const each = permitsOf(total)
    for (const role of primaryRoles) permits[role].resize(each[role])
    if (total < primaryRoles.length) permits.general.resize(total)
  }
  if (total < primaryRoles.length) permits.general.resize(total)

  const warm = createWarmUp({
    connections,
    settings,
    permits: () => permitsFor('general'),
    min: () => Math.min(min, total),
  })
  const stop = sweepEachSecond(clock, () => {
    resize()
    connections.sweep({ min: Math.min(min, total), max: total })
    warm()
  })
  warm()

  const databases = Object.fromEntries(
    primaryRoles.map((role) => [
      role,
      createDatabase({ ...settings, role }, { connections, permits: () => permitsFor(role) }),
    ]),
  ) as Record<PrimaryRole, Database>
  const addresses = addressesOf(settings)
  let latestTimeline = 0
  let latestAt = -Infinity
  const note = (timeline: number) => {
    if (timeline < notBefore()) return false
    latestTimeline = timeline
    latestAt = clock.now()
    return true
  }
  /** A cluster that was restored or made anew counts from the beginning: who is not heard of for long is not waited for. */
  const notBefore = () => (clock.now() - latestAt < rememberTimelineMs ? latestTimeline : 0)
  return {
    ...databases,
    isOutdated: (timeline) => addresses.length > 0 && !note(timelineOf(timeline)),
    async findPrimary() {
      if (addresses.length === 0) return true
      const found = await findPrimary(
        { ...settings, connectTimeoutS: Math.min(1, settings.connectTimeoutS) },
        addresses,
        notBefore(),
      )
      if (!found) return false
      note(found.timeline)
      const { address } = connections
      const { host, port } = found.address
      if (host !== address?.host || port !== address?.port) connections.moveTo(found.address)
      return true
    },
    open: () => connections.size,
    async close(options) {
      stop()
      await connections.close(options)
    },
  }
}

/** Opens what is missing to the minimum, one after the other and each under a permit, so never beyond the limit. */
function createWarmUp(options: {
  connections: Connections
  settings: Pick<DatabaseOptions, 'clock'> & { connectTimeoutS: number }
  permits: () => Bulkhead
  min: () => number
}): () => void {
  const { connections, settings, permits, min } = options
  let busy = false
  const open = async () => {
    const release = await permits().acquire({ maxWaitMs: 0 })
    const client = connections.open()
    const cancel = settings.clock.setTimer(settings.connectTimeoutS * 1000, () => client.giveUp())
    try {
      await client.sql`select 1`
    } catch (error) {
      client.giveUp()
      throw error
    } finally {
      cancel()
      connections.putBack(client)
      release()
    }
  }
  return async () => {
    if (busy) return
    busy = true
    try {
      while (!connections.closed && connections.size < min()) await open()
    } catch {
      // No server, or all permits in use: the next round tries again.
    } finally {
      busy = false
    }
  }
}
