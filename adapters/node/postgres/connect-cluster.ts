/** Brings up the primary's pools, the watch over it and the replicas, each knowing of the others what it needs. */
import { createBackoff } from '../../../src/resilience/backoff.ts'
import { defaults } from './client.ts'
import { type Cluster, createCluster } from './cluster.ts'
import { connectPools, fleetShare, type Pools, type PoolsOptions } from './pools.ts'
import { createPrimaryWatch, type PrimaryWatch } from './primary-watch.ts'
import { createReplicas, type Replicas } from './replicas.ts'
import { createTransact, type Transact } from './transactions.ts'
import { createWrittenAccounts } from './written-accounts.ts'

export interface ConnectedCluster extends Cluster {
  transact: Transact
  pools: Pools
  watch: PrimaryWatch
  replicas: Replicas
  /** The background work; what is asked before it has begun goes to the primary. */
  start(): void
  close(options: { timeoutS: number }): Promise<void>
}

export async function connectCluster(
  options: PoolsOptions & {
    /** `host:port` of each. @default [] */
    readReplicas?: readonly string[]
  },
): Promise<ConnectedCluster> {
  const { clock, random = defaults.random, readReplicas = [] } = options
  const pools = await connectPools(options)
  const watch = createPrimaryWatch({ pools, clock })
  const { url, host: _host, port: _port, ...connection } = options
  const replicas = createReplicas({
    clock,
    names: readReplicas,
    connection: { ...connection, share: fleetShare(options), ...(url !== undefined && credentialsOf(url)) },
  })
  const written = createWrittenAccounts({ now: clock.now })
  watch.subscribe((look) => {
    replicas.seen(look)
    if (look) written.seen(look)
  })
  const transact = createTransact({
    clock,
    backoff: createBackoff({ random, initialMs: 20, maxMs: 500 }),
    answering: watch.answering,
  })
  return {
    ...createCluster({
      primary: pools,
      replicas,
      written,
      transact,
      answering: watch.answering,
      onLost: () => void watch.look(),
    }),
    transact,
    pools,
    watch,
    replicas,
    start() {
      watch.start()
      replicas.start()
    },
    async close(options) {
      watch.stop()
      await Promise.all([replicas.close(options), pools.close(options)])
    },
  }
}

/** Replicas are named by host and port alone; the rest is as at the primary. */
function credentialsOf(url: string) {
  // The URL class takes no list of hosts.
  const { username, password, pathname, searchParams } = new URL(url.replace(/(:\/\/(?:[^@/]*@)?)[^/?]*/, '$1host'))
  const ssl = searchParams.get('sslmode') ?? searchParams.get('ssl')
  return {
    ...(username && { user: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
    ...(pathname.length > 1 && { database: decodeURIComponent(pathname.slice(1)) }),
    ...(ssl && { ssl: ssl as 'require' }),
  }
}
