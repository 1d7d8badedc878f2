/** Three gateways as processes, one Redis, and a provider that knows which of them calls. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { chatAnswer } from '../../bench/answers.ts'
import { eventually } from '../support/gateway.ts'
import { type GatewayProcess, processKey, removeDataDir, startGatewayProcess } from '../support/process.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

type State = 'closed' | 'open' | 'half_open' | 'forced_open' | 'forced_closed'

const breaker = 'openai:other'
const headers = { authorization: `Bearer ${processKey}`, 'content-type': 'application/json' }

let redis: TestRedis
let server: Server
let baseUrl: string
const pods: GatewayProcess[] = []

const provider = {
  up: true,
  answerDelayMs: 0,
  calls: 0,
  probes: 0,
  /** Which pods have calls under way, and how many each. */
  underWay: new Map<string, number>(),
  mostPods: 0,
  mostCalls: 0,
  forget() {
    Object.assign(provider, { calls: 0, probes: 0, mostPods: 0, mostCalls: 0 })
  },
}

function startProvider(): Promise<string> {
  server = createServer((request, response) => {
    const pod = request.url!.split('/')[1]!
    const answer = (body: string) => {
      response.writeHead(provider.up ? 200 : 503, { 'content-type': 'application/json' })
      response.end(provider.up ? body : '{"error":{"message":"down"}}')
    }
    if (request.method === 'GET') {
      provider.probes++
      return answer('{"object":"list","data":[]}')
    }
    provider.calls++
    provider.underWay.set(pod, (provider.underWay.get(pod) ?? 0) + 1)
    const counts = [...provider.underWay.values()].filter((count) => count > 0)
    provider.mostPods = Math.max(provider.mostPods, counts.length)
    provider.mostCalls = Math.max(
      provider.mostCalls,
      counts.reduce((sum, count) => sum + count),
    )
    request.resume()
    setTimeout(() => {
      provider.underWay.set(pod, provider.underWay.get(pod)! - 1)
      answer(chatAnswer)
    }, provider.answerDelayMs)
  }).listen(0, '127.0.0.1')
  return once(server, 'listening').then(() => `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
}

async function startPod(name: string) {
  const pod = await startGatewayProcess({
    env: {
      HOSTNAME: name,
      REDIS_URL: redis.url,
      OPENAI_BASE_URL: `${baseUrl}/${name}/v1`,
      CIRCUIT_BREAKER_MIN_REQUESTS: '4',
      CIRCUIT_BREAKER_TIMEOUT: '2s',
      RETRY_MAX_ATTEMPTS: '1',
      RATE_LIMIT_PER_MINUTE: '1000000',
    },
  })
  return pod
}

beforeAll(async () => {
  redis = await startRedis()
  baseUrl = await startProvider()
  // In this order, whichever is the first to listen.
  pods.push(...(await Promise.all(['pod-1', 'pod-2', 'pod-3'].map(startPod))))
}, 120_000)
afterAll(async () => {
  await Promise.all(pods.map((pod) => pod.end('SIGTERM')))
  for (const { dataDir } of pods) removeDataDir(dataDir)
  server.close()
  await redis.close()
})

const ask = async (pod: GatewayProcess) => {
  const body = JSON.stringify({ model: 'gpt', messages: [{ role: 'user', content: 'hi' }] })
  const response = await fetch(`${pod.url}/v1/chat/completions`, { method: 'POST', headers, body })
  await response.arrayBuffer()
  return response.status
}
const askAll = () => Promise.all(pods.map(ask))

/** What one pod says of all. */
async function statesSeenBy(pod: GatewayProcess): Promise<Record<string, State>> {
  const response = await fetch(`${pod.url}/api/v1/admin/breakers`, { headers })
  const { breakers } = (await response.json()) as {
    breakers: { name: string; pods: { pod: string; state: State }[] }[]
  }
  const row = breakers.find(({ name }) => name === breaker)!
  return Object.fromEntries(row.pods.map(({ pod: name, state }) => [name, state]))
}
const ownStates = async () => {
  const seen = await Promise.all(pods.map(statesSeenBy))
  return seen.map((states) => Object.values(states)[0]!)
}
const allAre = async (state: State) => (await ownStates()).every((own) => own === state)

async function force(pod: GatewayProcess, state: 'auto' | 'open' | 'closed') {
  const url = `${pod.url}/api/v1/admin/breakers/${encodeURIComponent(breaker)}`
  expect((await fetch(url, { method: 'PUT', headers, body: JSON.stringify({ state }) })).status).toBe(200)
}

test('each pod lists all of them', async () => {
  expect(await askAll()).toEqual([200, 200, 200])
  const seen = await eventually(
    () => statesSeenBy(pods[0]!),
    (states) => Object.keys(states).length === 3,
  )
  expect(seen).toEqual({ 'pod-1': 'closed', 'pod-2': 'closed', 'pod-3': 'closed' })
})

test('two see an outage, and the third opens at its first failure', { timeout: 60_000 }, async () => {
  provider.up = false
  await eventually(async () => {
    await Promise.all(pods.slice(0, 2).map(ask))
    const states = await statesSeenBy(pods[2]!)
    return states['pod-1'] === 'open' && states['pod-2'] === 'open'
  })
  provider.forget()
  expect(await statesSeenBy(pods[2]!)).toMatchObject({ 'pod-3': 'closed' })
  expect(await ask(pods[2]!)).toBe(503)
  expect(await statesSeenBy(pods[2]!)).toMatchObject({ 'pod-3': 'open' })
})

test('one pod at a time tries, and all close when it succeeds', { timeout: 60_000 }, async () => {
  provider.forget()
  provider.answerDelayMs = 100
  const until = performance.now() + 12_000
  await eventually(async () => {
    expect(await askAll()).toEqual([503, 503, 503])
    return performance.now() > until
  })
  expect(provider.calls).toBeGreaterThan(0)
  // Alone, each of them would have tried after 2, 4 and 8 s.
  expect(provider.calls).toBeLessThanOrEqual(6)
  expect(provider.mostPods).toBe(1)
  expect(provider.mostCalls).toBeLessThanOrEqual(3)
  expect(provider.probes).toBeLessThanOrEqual(4)
  provider.up = true
  await eventually(async () => {
    await askAll()
    return allAre('closed')
  })
  await eventually(askAll, (statuses) => statuses.every((status) => status === 200))
})

test('an operator’s word reaches every pod within two seconds, and those that start later', {
  timeout: 90_000,
}, async () => {
  provider.answerDelayMs = 0
  for (const word of ['open', 'closed'] as const) {
    const since = performance.now()
    await force(pods[1]!, word)
    await eventually(() => allAre(`forced_${word}`))
    expect(performance.now() - since).toBeLessThan(2_000)
  }
  await force(pods[0]!, 'open')
  const late = await startPod('pod-4')
  pods.push(late)
  await eventually(() => allAre('forced_open'))
  expect(await ask(late)).toBe(503)
  await eventually(
    () => statesSeenBy(pods[0]!),
    (states) => states['pod-4'] === 'forced_open',
  )
  await force(late, 'auto')
  await eventually(() => allAre('closed'))
  expect(new Set(await askAll())).toEqual(new Set([200]))
})

test('with Redis killed each goes on alone: it opens, tries and closes', { timeout: 90_000 }, async () => {
  await redis.signal('SIGKILL')
  expect(new Set(await askAll())).toEqual(new Set([200]))
  provider.up = false
  await eventually(async () => {
    await askAll()
    return allAre('open')
  })
  provider.up = true
  await eventually(async () => {
    await askAll()
    return allAre('closed')
  })
  // An operator's word holds where it was given, and reaches the others when Redis is back, empty as it is.
  await force(pods[2]!, 'closed')
  expect((await ownStates()).filter((state) => state === 'forced_closed')).toHaveLength(1)
  await redis.restart()
  await eventually(() => allAre('forced_closed'))
})
