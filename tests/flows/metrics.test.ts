import { execFile } from 'node:child_process'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { newId } from '../../adapters/node/identity.ts'
import { readSamples } from '../../src/telemetry/samples.ts'
import { eventually, startTestGateway, type TestGateway } from '../support/gateway.ts'
import { findTool } from '../support/tools.ts'

let gateway: TestGateway

beforeAll(async () => {
  gateway = await startTestGateway({ env: { METRICS_TOKEN: 'metrics-token-0123456789' } })
})
afterAll(() => gateway.close())

const scrape = (token = 'metrics-token-0123456789') =>
  fetch(`${gateway.url}/metrics`, { headers: { authorization: `Bearer ${token}` } })
const chat = { model: 'gpt-4o', messages: [{ role: 'user', content: 'hi' }] }

test('the guide’s names and the four circuits are there from the first scrape', async () => {
  const page = await (await scrape()).text()
  for (const name of ['vastai:list', 'ionet:list', 'openai:other', 'billing']) {
    expect(page).toContain(`circuit_breaker_state{name="${name}"} 0`)
  }
  expect(page).toContain('build_info{version="test"} 1')
  expect(page).toContain('nodejs_eventloop_lag_p99_seconds')
})

test('what an alert counts is there with 0 from the first scrape, so that the first event is a rise', async () => {
  const page = await (await scrape()).text()
  for (const series of [
    'ledger_lost_events_total',
    'billing_charges_total{result="parked"}',
    'payments_total{state="parked"}',
    'gpu_orphans_total{provider="ionet",action="reported"}',
    'upstream_credential_rejected_total{upstream="openai"}',
    'upstream_credential_rejected_total{upstream="vastai"}',
  ]) {
    expect(page.split('\n')).toContain(`${series} 0`)
  }
})

test('an autoscaler finds how many pods are wanted, and why, from the first scrape', async () => {
  const page = await (await scrape()).text()
  expect(page).toContain('\nautoscaler_desired_replicas 1\n')
  for (const reason of ['arrivals', 'streams'])
    expect(page).toContain(`autoscaler_demand_replicas{reason="${reason}"} 0`)
})

test('a request is counted under its route, whose 50 ms bucket the guide’s p99 needs', async () => {
  await (await gateway.post('/v1/chat/completions', chat)).text()
  const page = await (await scrape()).text()
  expect(page).toContain('http_requests_total{method="POST",route="/v1/chat/completions",status="200"} 1')
  expect(page).toMatch(
    /http_request_duration_seconds_bucket\{le="0.05",method="POST",route="\/v1\/chat\/completions"\}/,
  )
  expect(page).toMatch(/gateway_overhead_seconds_count [1-9]/)
})

test('what markets and Stripe take is not the gateway’s own time', async () => {
  const delayMs = 300
  const slow = ['vastai', 'ionet', 'stripe', 'openai'].map((target) => ({
    ...{ target, kind: 'slow', ms: delayMs, share: 1, expires_in: '10m' },
  }))
  const other = await startTestGateway({ market: { provisioningMs: 20, loadingMs: 20, paced: false } })
  const sum = async (name: string) => readSamples(await other.metricsText()).sum(`${name}_seconds_sum`)
  const waitedMs = async () => 1_000 * ((await sum('http_request_duration')) - (await sum('gateway_overhead')))
  const faults = JSON.stringify({ faults: slow })
  const keyed = (key: string) => ({ headers: { 'idempotency-key': key } })
  const order = { filters: { provider: 'vastai' }, image: 'ubuntu:24.04' }
  let id = ''
  const isRunning = () =>
    eventually(
      async () => (await (await other.get(`/api/v1/gpu/instances/${id}`)).json()).status,
      (status) => status === 'running',
    )
  const asked: [string, () => Promise<Response>][] = [
    ['models', () => other.get('/v1/models')],
    ['offers', () => other.get('/api/v1/gpu/offers')],
    ['rent', () => other.post('/api/v1/gpu/instances', order, keyed('rent'))],
    ['logs', () => isRunning().then(() => other.get(`/api/v1/gpu/instances/${id}/logs`))],
    ['stop', () => other.post(`/api/v1/gpu/instances/${id}/stop`, {})],
    [
      'reserve',
      () => {
        const { filters, image } = order
        return other.post('/api/v1/gpu/reservations', { count: 1, filters, config: { image } }, keyed('reserve'))
      },
    ],
    [
      'pay',
      () => {
        const payment = { amount: '5.00', currency: 'USD', payment_method: 'pm_card_visa' }
        return other.post('/api/v1/billing/payments', payment, keyed('pay'))
      },
    ],
  ]
  const json = { 'content-type': 'application/json' }
  const set = await other.get('/api/v1/admin/faults', { method: 'PUT', headers: json, body: faults })
  expect(set.status).toBe(200)
  for (const [what, ask] of asked) {
    const before = await waitedMs()
    const answer = await ask()
    const said = await answer.text()
    expect(answer.status, said).toBeLessThan(300)
    if (what === 'rent') id = JSON.parse(said).id
    expect((await waitedMs()) - before, what).toBeGreaterThanOrEqual(delayMs - 1)
  }
  const before = await waitedMs()
  await (await other.get('/api/v1/gpu/offers')).text()
  expect((await waitedMs()) - before, 'a list that is kept').toBeCloseTo(0)
  await other.close()
}, 60_000)

test('nor is what is slow on purpose: a password’s check, and a receipt that may be on its way', async () => {
  const delayMs = 300
  const slowly = <T>(value: T) => new Promise<T>((resolve) => setTimeout(() => resolve(value), delayMs))
  const passwords = { hash: () => slowly('hash'), check: () => slowly('wrong' as const), generate: () => 'x' }
  const other = await startTestGateway({ ports: { passwords } })
  const overheadMs = async () => 1_000 * readSamples(await other.metricsText()).sum('gateway_overhead_seconds_sum')
  const person = { email: 'ada@example.com', password: 'correct horse battery' }
  const asked: [status: number, () => Promise<Response>][] = [
    [201, () => other.post('/api/v1/auth/register', person)],
    [401, () => other.post('/api/v1/auth/login', person)],
    [404, () => other.get(`/api/v1/receipts/${newId()}`)],
  ]
  for (const [status, ask] of asked) {
    const before = await overheadMs()
    expect((await ask()).status).toBe(status)
    expect((await overheadMs()) - before).toBeLessThan(delayMs)
  }
  await other.close()
})

test('a 504 at the end of the caller’s own time is told apart from those that are not his doing', async () => {
  const other = await startTestGateway()
  expect(await other.metric('caller_deadlines_total')).toBe(0)
  other.sandbox.openai.setFaults([{ kind: 'hang' }])
  const late = await other.post('/v1/chat/completions', chat, { headers: { 'x-request-timeout-ms': '120' } })
  expect(late.status).toBe(504)
  expect(await other.metric('caller_deadlines_total')).toBe(1)
  await other.close()

  const impatient = await startTestGateway({ env: { REQUEST_TIMEOUT: '120ms' } })
  impatient.sandbox.openai.setFaults([{ kind: 'hang' }])
  expect((await impatient.post('/v1/chat/completions', chat)).status).toBe(504)
  expect(await impatient.metric('caller_deadlines_total')).toBe(0)
  await impatient.close()
})

test('a route inside a wider pattern is counted under its own', async () => {
  await (await gateway.get('/api/v1/health')).text()
  const page = await (await scrape()).text()
  expect(page).toContain('http_requests_total{method="GET",route="/api/v1/health",status="200"} 1')
})

test('a refused request is counted under the route it was meant for', async () => {
  await (await fetch(`${gateway.url}/v1/chat/completions`, { method: 'POST' })).text()
  const page = await (await scrape()).text()
  expect(page).toContain('http_requests_total{method="POST",route="/v1/chat/completions",status="401"} 1')
})

test('strangers cannot grow the number of series', async () => {
  const seriesOf = (page: string) => page.split('\n').filter((line) => line && !line.startsWith('#')).length
  await (await gateway.get('/nope')).text()
  const before = seriesOf(await (await scrape()).text())
  for (let i = 0; i < 300; i++) {
    await (await gateway.get(`/nope/${i}`)).text()
    await (await gateway.post('/v1/chat/completions', { ...chat, model: `model-${i}`, max_tokens: 1 })).text()
  }
  expect(seriesOf(await (await scrape()).text()) - before).toBeLessThan(30)
})

test('with METRICS_TOKEN set the page needs it', async () => {
  expect((await scrape('wrong')).status).toBe(401)
})

test('promtool has no complaint', async () => {
  await (await gateway.get('/api/v1/gpu/offers')).text()
  const page = await (await scrape()).text()
  const { path, env } = await findTool('promtool')
  const said = await new Promise<string>((resolve) => {
    const child = execFile(path, ['check', 'metrics'], { env: { ...process.env, ...env } }, (error, stdout, stderr) =>
      resolve(`${error ? `exit ${error.code}\n` : ''}${stdout}${stderr}`),
    )
    child.stdin!.end(page)
  })
  expect(said).toBe('')
}, 180_000)

test('revenue is told to the micro-dollar where /metrics asks for a token, and not at all where it is open', async () => {
  const revenue = async () =>
    Number(/^revenue_usd_total\{kind="inference"\} (\S+)$/m.exec(await (await scrape()).text())?.[1] ?? 0)
  const before = await revenue()
  const answer = await gateway.post('/v1/chat/completions', chat)
  await answer.text()
  const cost = Number(answer.headers.get('x-gpuproxy-cost-usd'))
  expect(cost).toBeGreaterThan(0)
  expect((await revenue()) - before).toBeCloseTo(cost, 9)
  expect(await (await scrape()).text()).toContain('gpu_machines_serving{state="busy"} 0')

  const open = await startTestGateway()
  await (await open.post('/v1/chat/completions', chat)).text()
  const page = await (await fetch(`${open.url}/metrics`)).text()
  expect(page).toContain('ledger_entries_total{kind="settle"} 1')
  expect(page).not.toMatch(/revenue_usd|refunds_usd|provider_cost_usd|gpu_machines_serving/)
  await open.close()
})

test('the margin is told of requests whose cost the routing file says, by provider, and callers see nothing of it', async () => {
  const known = { input_per_million: 0.1, output_per_million: 0.5 }
  const dealt = await startTestGateway({
    env: { METRICS_TOKEN: 'metrics-token-0123456789' },
    routing: ({ openai }) => ({
      providers: { openai: { kind: 'openai', base_url: openai.baseUrl } },
      models: {
        'gpt-4o': { targets: [{ provider: 'openai' }], provider_cost: known },
        'gpt-4o-mini': { targets: [{ provider: 'openai' }] },
        'text-embedding-3-small': { targets: [{ provider: 'openai' }], provider_cost: { input_per_million: 0.01 } },
      },
    }),
  })
  const value = async (name: string) => (await dealt.metric(name, { provider: 'openai' })) ?? 0
  let charged = 0
  let cost = 0
  for (const stream of [false, true]) {
    const answer = await dealt.post('/v1/chat/completions', { ...chat, stream, max_tokens: 4 })
    const words = await answer.text()
    expect([...answer.headers].join() + words).not.toMatch(/margin|provider_cost/i)
    const receipt = await (await dealt.get(`/api/v1/receipts/${answer.headers.get('x-request-id')}`)).json()
    expect(JSON.stringify(receipt)).not.toContain('provider_cost')
    charged += Number(receipt.cost)
    const { input_tokens, output_tokens } = receipt.usage
    cost += (input_tokens * 0.1 + output_tokens * 0.5) / 1e6
  }
  expect(cost).toBeGreaterThan(0)
  expect(await value('costed_revenue_usd_total')).toBeCloseTo(charged, 9)
  expect(await value('provider_cost_usd_total')).toBeCloseTo(cost, 9)

  // Of these the file does not say all that it would need: they are in neither.
  await (await dealt.post('/v1/chat/completions', { ...chat, model: 'gpt-4o-mini' })).text()
  await (await dealt.post('/v1/embeddings', { model: 'text-embedding-3-small', input: 'hi' })).text()
  expect(await value('costed_revenue_usd_total')).toBeCloseTo(charged, 9)
  expect(await value('provider_cost_usd_total')).toBeCloseTo(cost, 9)
  expect(await dealt.metric('revenue_usd_total', { kind: 'inference' })).toBeGreaterThan(charged)
  await dealt.close()
})
