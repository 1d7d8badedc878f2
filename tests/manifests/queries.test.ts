/** Every query of the guide, the dashboard and the runbook, asked of a real Prometheus that scrapes three gateways. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { instruments } from '../../src/telemetry/instruments.ts'
import { eventually } from '../support/gateway.ts'
import { type GatewayProcess, processKey, removeDataDir, startGatewayProcess } from '../support/process.ts'
import { startPrometheus, type TestPrometheus } from '../support/prometheus.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { type ReplicatedPostgres, startReplicatedPostgres } from '../support/replicated-postgres.ts'

const root = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')

const ofGuide = [
  'rate(http_requests_total[5m])',
  'rate(http_requests_total{status=~"5.."}[5m])',
  'histogram_quantile(0.99, rate(http_request_duration_seconds_bucket[5m]))',
  'count(kube_pod_info{pod=~"aiserve-gpuproxy.*"})',
]
const ofDashboard: string[] = JSON.parse(read('manifests/components/monitoring/dashboard.json')).panels.flatMap(
  ({ targets = [] }: { targets?: { expr: string }[] }) => targets.map(({ expr }) => expr),
)
/** What stands in backticks and is a query: it names a metric, and is no command. */
const metric = new RegExp(
  `\\b(?:${Object.values(instruments)
    .map(({ name }) => name)
    .join('|')}|process_\\w+|nodejs_\\w+)`,
)
const ofRunbook = [...read('docs/runbook.md').matchAll(/`([^`]+)`/g)]
  .map(([, code]) => code!.replaceAll(/\s+/g, ' '))
  .filter((code) => metric.test(code) && !/^(curl|kubectl)/.test(code))

/** Counted only once something has happened that does not happen here. */
const eventful =
  /orphans|stream_interrupted|retries|shed|rate_limited|credential_rejected|redis_failures|billing_charges|payments_total|trans|lost_events|gpu_instances/

let redis: TestRedis
let servers: ReplicatedPostgres
let kubernetes: Server
let prometheus: TestPrometheus
const pods: GatewayProcess[] = []

beforeAll(async () => {
  kubernetes = createServer((_, res) => res.end(read('tests/manifests/kube-state-metrics.txt'))).listen(0, '127.0.0.1')
  ;[redis, servers] = await Promise.all([startRedis(), startReplicatedPostgres(), once(kubernetes, 'listening')])
  const { host, port, user, database } = servers.primary.connection
  const env = {
    REDIS_URL: redis.url,
    DATABASE_URL: `postgres://${user}@${host}:${port}/${database}`,
    DB_READ_REPLICAS: servers.standby.name,
  }
  // One after the other: the first one migrates.
  pods.push(await startGatewayProcess({ env }))
  pods.push(...(await Promise.all([1, 2].map(() => startGatewayProcess({ env })))))
  const { spec } = parse(read('manifests/components/monitoring/rules.yaml'))
  prometheus = await startPrometheus(
    {
      'aiserve-gpuproxy': pods.map(({ url }) => new URL(url).host),
      'kube-state-metrics': [`127.0.0.1:${(kubernetes.address() as AddressInfo).port}`],
    },
    { 'rules.yaml': stringify(spec) },
  )
}, 180_000)
afterAll(async () => {
  await prometheus?.close()
  await Promise.all(pods.map((pod) => pod.end('SIGTERM')))
  for (const { dataDir } of pods) removeDataDir(dataDir)
  kubernetes.close()
  await Promise.all([redis?.close(), servers?.close()])
}, 60_000)

const headers = { authorization: `Bearer ${processKey}`, 'content-type': 'application/json' }

/** A little of everything, so that there is something to be counted. */
async function traffic() {
  const chat = (stream: boolean, model = 'gpt-4o-mini') =>
    JSON.stringify({ model, stream, messages: [{ role: 'user', content: 'Hello' }], max_tokens: 3 })
  for (const { url } of pods) {
    for (const stream of [false, true]) {
      await (await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body: chat(stream) })).text()
    }
    await (await fetch(`${url}/api/v1/gpu/offers`, { headers })).text()
    await (await fetch(`${url}/v1/audio/speech`, { method: 'POST', headers, body: '{}' })).text()
  }
}

test('there are queries to ask', () => {
  expect(ofDashboard.length).toBeGreaterThan(30)
  expect(ofRunbook.length).toBeGreaterThan(20)
})

test('each is answered with data', async () => {
  // One pod's provider fails: there are errors, too.
  const faults = [{ target: 'openai', kind: 'reset', share: 1, expires_in: '10m' }]
  const set = await fetch(`${pods[2]!.url}/api/v1/admin/faults`, {
    method: 'PUT',
    headers,
    body: JSON.stringify({ faults }),
  })
  expect(set.status).toBe(200)
  const open = new Set([...ofGuide, ...ofDashboard, ...ofRunbook].filter((query) => !eventful.test(query)))
  // Rates want two scrapes with something between them.
  await eventually(
    async () => {
      await traffic()
      for (const query of open) if ((await prometheus.query(query)).length > 0) open.delete(query)
      return open
    },
    ({ size }) => size === 0,
  )
}, 120_000)

test('each of the others is one that Prometheus takes', async () => {
  for (const query of [...ofDashboard, ...ofRunbook].filter((each) => eventful.test(each)))
    await prometheus.query(query)
}, 60_000)

test('a query that is none is refused', async () => {
  await expect(prometheus.query('rate(http_requests_total[5m]')).rejects.toThrow('parse error')
})
