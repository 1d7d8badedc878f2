/** Real Redis servers for tests: one, or a cluster of three masters, as processes that can be killed, stalled and filled. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { freePort } from './free-port.ts'
import { findTool } from './tools.ts'

export interface TestRedisNode {
  port: number
  url: string
  /** Sends a signal: SIGKILL ends it, SIGSTOP stalls it, SIGCONT lets it go on. */
  signal(signal: NodeJS.Signals): Promise<void>
  /** After a kill: again on the same port, empty. */
  restart(): Promise<void>
  /** For what a test asks of the server itself. */
  admin: Redis
}

export interface TestRedis extends TestRedisNode {
  close(): Promise<void>
}

export interface TestRedisCluster {
  nodes: TestRedisNode[]
  close(): Promise<void>
}

const slots = 16_384
const answerPollMs = 20

/** A server of the test's own, also where TEST_REDIS_URL names one: this one may be broken. */
export async function startRedis(): Promise<TestRedis> {
  const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-redis-'))
  const node = await startNode(folder, [])
  return {
    ...node,
    async close() {
      await node.end()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Three masters without replicas: where one is killed, its slots are gone and the others' remain. */
export async function startRedisCluster(): Promise<TestRedisCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-redis-'))
  const settings = [
    '--cluster-enabled',
    'yes',
    '--cluster-node-timeout',
    '1000',
    '--cluster-require-full-coverage',
    'no',
  ]
  const nodes = await Promise.all(
    [1, 2, 3].map((n) => startNode(folder, [...settings, '--cluster-config-file', `nodes-${n}.conf`])),
  )
  for (const [i, { admin, port }] of nodes.entries()) {
    const from = Math.floor((slots * i) / nodes.length)
    const to = Math.floor((slots * (i + 1)) / nodes.length) - 1
    await admin.call('CLUSTER', 'ADDSLOTSRANGE', from, to)
    await admin.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
    // The bus listens where it was told to, which is not the usual distance away.
    if (i > 0) await nodes[0]!.admin.call('CLUSTER', 'MEET', '127.0.0.1', port, nodes[i]!.busPort)
  }
  for (const { admin } of nodes) {
    for (;;) {
      const known = String(await admin.call('CLUSTER', 'SLOTS')).split(',').length
      const info = String(await admin.call('CLUSTER', 'INFO'))
      if (info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3') && known >= 9) break
      await pause()
    }
  }
  return {
    nodes,
    async close() {
      await Promise.all(nodes.map(({ end }) => end()))
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function startNode(folder: string, more: readonly string[]) {
  const { path, env } = await findTool('redis-server')
  const [port, busPort] = [await freePort(), await freePort()]
  const cluster = more.length > 0 ? ['--cluster-port', String(busPort)] : []
  const args = ['--bind', '127.0.0.1', '--port', String(port), '--dir', folder, '--save', '', ...cluster, ...more]
  const url = `redis://127.0.0.1:${port}`
  let child: ChildProcess
  const start = async () => {
    child = spawn(path, args, { argv0: 'redis-server', env: { ...process.env, ...env }, stdio: 'ignore' })
    watch(child)
    await answers(admin)
  }
  const admin = new Redis(url, { lazyConnect: true, retryStrategy: () => answerPollMs, maxRetriesPerRequest: null })
  admin.on('error', () => {}) // While it is down there is nobody to tell.
  const signal = async (name: NodeJS.Signals) => {
    const exit = name === 'SIGKILL' ? once(child, 'exit') : undefined
    child.kill(name)
    await exit
  }
  await start()
  return {
    port,
    busPort,
    url,
    admin,
    signal,
    restart: start,
    async end() {
      admin.disconnect()
      if (child.exitCode === null && child.signalCode === null) await signal('SIGKILL')
    },
  }
}

async function answers(admin: Redis): Promise<void> {
  if (admin.status === 'wait') await admin.connect().catch(() => {})
  await admin.ping()
}

/** Ends the server when this process is gone, in whatever way: then the pipe is closed. */
function watch(child: ChildProcess): void {
  const watchdog = spawn('sh', ['-c', 'read _; kill -9 "$0"', String(child.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  // Killed and started again it has another number, and another watchdog.
  child.once('exit', () => watchdog.kill())
}

const pause = () => new Promise((resolve) => setTimeout(resolve, answerPollMs))
