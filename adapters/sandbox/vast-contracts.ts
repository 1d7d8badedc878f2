/**
 * The machines that are rented at the fake Vast.ai, and what they cost. Nothing runs by itself: what a machine has come to
 * is worked out from the market's clock when somebody asks.
 */
import { createUnreachableHosts, type Host, type HostAddress } from './hosts.ts'
import { createMarketTime, type MarketOptions } from './market-controls.ts'
import { diskPerHour, type VastMachine } from './vast-catalogue.ts'
import type { VastOrder } from './vast-order.ts'

export interface VastContract {
  id: number
  machine: VastMachine
  order: VastOrder
  label: string
  /** Times in ms by the market's clock, money in dollars. */
  createdAt: number
  loadsAt: number
  runsAt: number
  endsAt: number | undefined
  intended: 'running' | 'stopped'
  isOutbid: boolean
  /** How its host was lost. */
  lost: string | undefined
  gpuPerHour: number
  diskPerHour: number
  gpuCost: number
  diskCost: number
  accruedAt: number
  host: Host | undefined
  /** Where a test wants its ports said to be. */
  published: { host: string; port: string | number } | undefined
}

const firstId = 31_000_001
/** Older ones that have ended are forgotten, which only a sandbox may do. */
const maxEnded = 100_000
const hourMs = 3_600_000

export function createVastContracts(options: MarketOptions) {
  const { clock, hosts = createUnreachableHosts(), provisioningMs = 1_000, loadingMs = 1_500 } = options
  const now = createMarketTime(clock)
  const live = new Map<number, VastContract>()
  const ended = new Map<number, VastContract>()
  /** By the id of the offer: until when somebody else has it, or a contract of ours. */
  const taken = new Map<number, { until: number } | VastContract>()
  let destroyDelayMs = options.destroyDelayMs ?? 0
  let made = 0

  function isFree(offerId: number): boolean {
    const holder = taken.get(offerId)
    if (holder === undefined) return true
    return 'until' in holder ? holder.until <= now() : !live.has(holder.id) || isOver(holder)
  }

  const isOver = ({ endsAt }: VastContract) => endsAt !== undefined && endsAt <= now()

  function create(machine: VastMachine, order: VastOrder): VastContract {
    const contract: VastContract = {
      id: firstId + 7 * made++,
      machine,
      order,
      label: order.label,
      createdAt: now(),
      loadsAt: now() + provisioningMs,
      runsAt: now() + provisioningMs + loadingMs,
      endsAt: undefined,
      intended: order.starts ? 'running' : 'stopped',
      isOutbid: false,
      lost: undefined,
      gpuPerHour: order.bid ?? machine.dph_base,
      diskPerHour: diskPerHour(machine.storage_cost, order.diskGb),
      gpuCost: 0,
      diskCost: 0,
      accruedAt: now(),
      host: undefined,
      published: undefined,
    }
    live.set(contract.id, contract)
    taken.set(machine.id, contract)
    if (order.starts) openHost(contract)
    return contract
  }

  function openHost(contract: VastContract): void {
    const { ports, args, env } = contract.order
    contract.host = hosts.open({
      ports,
      args,
      env: Object.fromEntries(env),
      runs: () => live.has(contract.id) && statusOf(contract) === 'running',
    })
  }

  function closeHost(contract: VastContract): void {
    contract.host?.close()
    contract.host = undefined
  }

  /** Up to now, at the prices of the state that it has been in. */
  function accrue(contract: VastContract): void {
    const until = Math.min(now(), contract.endsAt ?? Number.POSITIVE_INFINITY)
    const hours = (until - contract.accruedAt) / hourMs
    contract.diskCost += hours * contract.diskPerHour
    if (!isStopped(contract)) contract.gpuCost += hours * contract.gpuPerHour
    contract.accruedAt = until
  }

  function statusOf(contract: VastContract): string | null {
    if (contract.lost !== undefined) return contract.lost
    if (isStopped(contract)) return 'stopped'
    return now() < contract.loadsAt ? null : now() < contract.runsAt ? 'loading' : 'running'
  }

  /** Those whose time has come are gone. */
  function sweep(): void {
    for (const contract of live.values()) {
      if (!isOver(contract)) continue
      accrue(contract)
      live.delete(contract.id)
      ended.set(contract.id, contract)
      for (const [oldest] of ended) {
        if (ended.size <= maxEnded) break
        ended.delete(oldest)
      }
    }
  }

  return {
    now,
    isFree,
    create,
    accrue,
    statusOf,
    find(id: number): VastContract | undefined {
      sweep()
      return live.get(id)
    },
    findEnded: (id: number) => ended.get(id),
    live(): VastContract[] {
      sweep()
      return [...live.values()]
    },
    /** With those that have ended. */
    all(): VastContract[] {
      sweep()
      for (const contract of live.values()) accrue(contract)
      return [...ended.values(), ...live.values()]
    },
    isLive: (contract: VastContract) => live.has(contract.id),
    setRunning(contract: VastContract, running: boolean): void {
      if ((contract.intended === 'running') === running) return
      accrue(contract)
      contract.intended = running ? 'running' : 'stopped'
      contract.loadsAt = now()
      contract.runsAt = now() + loadingMs
      closeHost(contract)
      if (running && contract.lost === undefined) openHost(contract)
    },
    /** The machine is somebody's who bids more: it waits, and only its disk is paid for. */
    outbid(contract: VastContract): void {
      accrue(contract)
      contract.isOutbid = true
      closeHost(contract)
    },
    lose(contract: VastContract, status: string): void {
      contract.lost = status
      closeHost(contract)
    },
    destroy(contract: VastContract): void {
      contract.endsAt = Math.min(contract.endsAt ?? Number.POSITIVE_INFINITY, now() + destroyDelayMs)
      closeHost(contract)
      sweep()
    },
    raisePrice(contract: VastContract, factor: number): void {
      accrue(contract)
      contract.gpuPerHour *= factor
    },
    takeAway(offerId: number, forMs: number): void {
      if (isFree(offerId)) taken.set(offerId, { until: now() + forMs })
    },
    setDestroyDelay(ms: number): void {
      destroyDelayMs = ms
    },
  }
}

export type VastContracts = ReturnType<typeof createVastContracts>

export const isStopped = ({ intended, isOutbid }: VastContract) => intended === 'stopped' || isOutbid

/** In micro-dollars, what stands in the charges: each part is rounded by itself. */
export function costOf({ gpuCost, diskCost }: VastContract): { gpu: number; disk: number } {
  return { gpu: Math.round(gpuCost * 1e6), disk: Math.round(diskCost * 1e6) }
}

/** What it was paid for, in whole seconds since 1970. */
export const spanOf = ({ createdAt, accruedAt }: VastContract) => ({
  start: Math.floor(createdAt / 1000),
  end: Math.ceil(accruedAt / 1000),
})

export function addressOf(contract: VastContract, port: number): HostAddress | VastContract['published'] {
  return contract.published ?? contract.host?.address(port)
}
