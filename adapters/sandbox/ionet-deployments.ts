/**
 * The deployments of the fake io.net. Hours are bought before they begin and not given back; they count from when its
 * containers run, and it ends by itself when they are over. What it has come to is worked out when somebody asks.
 */
import { createUnreachableHosts, type Host } from './hosts.ts'
import type { StockRow } from './ionet-hardware.ts'
import type { IonetOrder } from './ionet-order.ts'
import type { MarketOptions } from './market-controls.ts'

export interface IonetDeployment {
  id: string
  name: string
  order: IonetOrder
  row: StockRow
  /** Times in ms by the market's clock. */
  createdAt: number
  progressAt: number
  runsAt: number
  /** Bought in all. */
  hours: number
  /** Dollars, of an hour of it all; and what was paid. */
  perHour: number
  paid: number
  /** It was asked to go, and is gone then. */
  terminatesAt: number | undefined
  failed: string | undefined
  hosts: Host[]
  /** Where a test wants it said to be. */
  published: string | undefined
}

/** Older ones that have ended are forgotten, which only a sandbox may do. */
const maxEnded = 100_000
const hourMs = 3_600_000

export function createIonetDeployments(options: MarketOptions & { now: () => number }) {
  const { now, hosts = createUnreachableHosts(), provisioningMs = 1_000, loadingMs = 1_500 } = options
  const live = new Map<string, IonetDeployment>()
  const ended = new Map<string, IonetDeployment>()
  const names = new Map<string, number>()
  let destroyDelayMs = options.destroyDelayMs ?? 3_000
  let made = 0

  const phaseOf = (deployment: IonetDeployment): string => {
    const { terminatesAt, failed, progressAt, runsAt } = deployment
    if (!live.has(deployment.id)) return terminatesAt === undefined ? 'completed' : 'terminated'
    if (terminatesAt !== undefined) return 'termination requested'
    if (failed !== undefined) return failed
    return now() < progressAt ? 'deployment requested' : now() < runsAt ? 'in progress' : 'running'
  }

  /** The place of a deployment among all that there ever were, in the form of a UUID. */
  const newId = () => `6a1f0000-0000-4000-8000-${(++made).toString(16).padStart(12, '0')}`

  function create(name: string, order: IonetOrder, row: StockRow, factor: number): IonetDeployment {
    const {
      replica_count: replicas,
      traffic_port: port,
      args,
      env_variables,
      secret_env_variables,
    } = order.container_config
    const perHour = row.model.price * order.gpus_per_container * replicas * factor
    const deployment: IonetDeployment = {
      id: newId(),
      name,
      order,
      row,
      createdAt: now(),
      progressAt: now() + provisioningMs,
      runsAt: now() + provisioningMs + loadingMs,
      hours: order.duration_hours,
      perHour,
      paid: perHour * order.duration_hours,
      terminatesAt: undefined,
      failed: undefined,
      hosts: [],
      published: undefined,
    }
    live.set(deployment.id, deployment)
    names.set(name, (names.get(name) ?? 0) + 1)
    row.used += replicas
    const spec = {
      ports: port == null ? [] : [port],
      args: args ?? [],
      env: { ...env_variables, ...secret_env_variables },
      runs: () => live.has(deployment.id) && phaseOf(deployment) === 'running' && now() < endOf(deployment),
    }
    deployment.hosts = Array.from({ length: replicas }, () => hosts.open(spec))
    return deployment
  }

  function closeHosts(deployment: IonetDeployment): void {
    for (const host of deployment.hosts) host.close()
  }

  /** Those whose time has come are gone, and their replicas are free. */
  function sweep(): void {
    for (const deployment of live.values()) {
      if (endOf(deployment) > now()) continue
      closeHosts(deployment)
      live.delete(deployment.id)
      ended.set(deployment.id, deployment)
      const { name, row, order } = deployment
      const sharing = names.get(name)! - 1
      if (sharing > 0) names.set(name, sharing)
      else names.delete(name)
      row.used -= order.container_config.replica_count
      for (const [oldest] of ended) {
        if (ended.size <= maxEnded) break
        ended.delete(oldest)
      }
    }
  }

  return {
    phaseOf,
    create,
    isTaken(name: string): boolean {
      sweep()
      return names.has(name)
    },
    find(id: string): IonetDeployment | undefined {
      sweep()
      return live.get(id)
    },
    findEnded: (id: string) => ended.get(id),
    live(): IonetDeployment[] {
      sweep()
      return [...live.values()]
    },
    /** With those that have ended. */
    all(): IonetDeployment[] {
      sweep()
      return [...ended.values(), ...live.values()]
    },
    extend(deployment: IonetDeployment, hours: number): void {
      deployment.hours += hours
      deployment.paid += hours * deployment.perHour
    },
    terminate(deployment: IonetDeployment): void {
      deployment.terminatesAt = now() + destroyDelayMs
      closeHosts(deployment)
    },
    fail(deployment: IonetDeployment, status: string): void {
      deployment.failed = status
      closeHosts(deployment)
    },
    sweep,
    setDestroyDelay(ms: number): void {
      destroyDelayMs = ms
    },
  }
}

export type IonetDeployments = ReturnType<typeof createIonetDeployments>

/** When its time is over, in ms by the market's clock. */
export function endOf({ terminatesAt, runsAt, hours }: IonetDeployment): number {
  return Math.min(terminatesAt ?? Number.POSITIVE_INFINITY, runsAt + hours * hourMs)
}

export const paidMicroUsd = ({ paid }: IonetDeployment): number => Math.round(paid * 1e6)
