/** Every query of the guide, the dashboard, the runbook and the page on metrics, asked of a real Prometheus that scrapes three gateways. */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { type Sandbox, startSandbox } from '../../adapters/sandbox/sandbox.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
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
const inBackticks = (page: string) =>
  [...read(page).matchAll(/`([^`]+)`/g)]
    .map(([, code]) => code!.replaceAll(/\s+/g, ' '))
    .filter((code) => metric.test(code) && !/^(curl|kubectl)/.test(code))
const ofRunbook = inBackticks('docs/runbook.md')
const ofMetrics = inBackticks('docs/metrics.md').filter((code) => code.includes('('))

const routing = (base_url: string) => ({
  providers: { openai: { kind: 'openai', base_url } },
  models: {
    '*': { targets: [{ provider: 'openai' }], provider_cost: { input_per_million: 0.1, output_per_million: 0.4 } },
  },
})
const metricsToken = 'metrics-token-0123456789'

let redis: TestRedis
let servers: ReplicatedPostgres
let kubernetes: Server
let prometheus: TestPrometheus
let sandbox: Sandbox
const pods: GatewayProcess[] = []
const folder = mkdtempSync(join(tmpdir(), 'queries-'))

beforeAll(async () => {
  kubernetes = createServer((_, res) => res.end(read('tests/manifests/kube-state-metrics.txt'))).listen(0, '127.0.0.1')
  // One for all pods: what one of them rents the others find at the market, too.
  const startingSandbox = startSandbox({
    clock,
    random: Math.random,
    market: { provisioningMs: 20, loadingMs: 20, paced: false },
  })
  ;[redis, servers, sandbox] = await Promise.all([
    startRedis(),
    startReplicatedPostgres(),
    startingSandbox,
    once(kubernetes, 'listening'),
  ])
  const { host, port, user, database } = servers.primary.connection
  const routingFile = join(folder, 'routing.yaml')
  writeFileSync(routingFile, stringify(routing(sandbox.openai!.baseUrl)))
  const env = {
    GATEWAY_CONFIG: routingFile,
    REDIS_URL: redis.url,
    DATABASE_URL: `postgres://${user}@${host}:${port}/${database}`,
    DB_READ_REPLICAS: servers.standby.name,
    BOOTSTRAP_CREDIT_USD: '10000',
    RATE_LIMIT_PER_MINUTE: '1000000',
    METRICS_TOKEN: metricsToken,
    VASTAI_BASE_URL: sandbox.vastai!.baseUrl,
    IONET_BASE_URL: sandbox.ionet!.baseUrl,
    BILLING_BASE_URL: sandbox.billing!.baseUrl,
    STRIPE_BASE_URL: sandbox.stripe!.baseUrl,
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
    { files: { 'rules.yaml': stringify(spec) }, token: metricsToken },
  )
}, 180_000)
afterAll(async () => {
  await prometheus?.close()
  await Promise.all(pods.map((pod) => pod.end('SIGTERM')))
  for (const { dataDir } of pods) removeDataDir(dataDir)
  rmSync(folder, { recursive: true })
  kubernetes.close()
  await Promise.all([redis?.close(), servers?.close(), sandbox?.close()])
}, 60_000)

const headers = { authorization: `Bearer ${processKey}`, 'content-type': 'application/json' }

/** A little of everything, so that there is something to be counted. */
async function traffic() {
  const chat = (stream: boolean, model = 'gpt-4o-mini') =>
    JSON.stringify({ model, stream, messages: [{ role: 'user', content: 'Hello' }], max_tokens: 10 })
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
  expect(ofMetrics).toHaveLength(3)
})

const set = (pod: GatewayProcess, fault: { kind: string; share: number; after_tokens?: number }) =>
  fetch(`${pod.url}/api/v1/admin/faults`, {
    method: 'PUT',
    headers,
    body: JSON.stringify({ faults: [{ target: 'openai', expires_in: '10m', ...fault }] }),
  })

/** What does not happen by itself: a pod's streams break off, another's provider fails, a model is put on a machine. */
async function events() {
  const answers = [
    await set(pods[1]!, { kind: 'cut', share: 1, after_tokens: 5 }),
    await set(pods[2]!, { kind: 'reset', share: 1 }),
    await fetch(`${pods[0]!.url}/api/v1/gpu/deployments`, {
      method: 'POST',
      headers: { ...headers, 'idempotency-key': 'deploy' },
      body: JSON.stringify({ model: 'acme/tiny-1b', provider: 'vastai', max_price: 2 }),
    }),
  ]
  expect(answers.map(({ ok }) => ok)).toEqual([true, true, true])
}

test('each is answered with a number at the least', async ({ onTestFailed }) => {
  await events()
  const open = new Set([...ofGuide, ...ofDashboard, ...ofRunbook, ...ofMetrics])
  onTestFailed(() => console.error('without data:', [...open]))
  const answered = async (query: string) =>
    (await prometheus.query(query)).some(({ value: [, number] }) => Number.isFinite(Number(number)))
  // Rates want two scrapes with something between them.
  await eventually(
    async () => {
      await traffic()
      for (const query of open) if (await answered(query)) open.delete(query)
      return open
    },
    ({ size }) => size === 0,
  )
}, 300_000)

test('a query that is none is refused', async () => {
  await expect(prometheus.query('rate(http_requests_total[5m]')).rejects.toThrow('parse error')
})
