/** A pod that is full: who is refused by the head of his request, and that it looks the same from outside. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { eventually, startTestGateway, type TestGateway, testKey } from '../support/gateway.ts'
import { type HeldProvider, startHeldProvider } from '../support/held-provider.ts'
import { exchange, statuses } from '../support/raw-http.ts'

const path = '/v1/chat/completions'
const body = JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hi' }] })
/** More than the places and the queue of a pod that has just been too busy. */
const crowd = 120

let provider: HeldProvider
let gateway: TestGateway

beforeEach(async () => {
  provider = await startHeldProvider()
  gateway = await startTestGateway({
    providers: { openai: { baseUrl: provider.baseUrl, apiKey: 'sk-x' } },
    ports: { load: () => ({ utilisation: 1, delayP50Ms: 13, delayP99Ms: 13, memoryShare: 0.1 }) },
  })
  provider.hold()
  for (let i = 0; i < 40; i++) void gateway.post(path, body).catch(() => {})
  // Who gives so little time is refused at once as soon as there is a limit, and until then in no time.
  const refused = async () => (await gateway.post(path, body, { headers: { 'x-request-timeout-ms': '4' } })).status
  await eventually(refused, (status) => status === 503)
})
afterEach(async () => {
  provider.go()
  await gateway.close()
  provider.close()
})

const askAll = () => Promise.all(Array.from({ length: crowd }, () => gateway.post(path, body)))
/** Limits are looked at by the app alone. */
const cameIn = ({ headers }: Response) => headers.has('ratelimit')

test('is refused in the same words, and counted the same, as who came in', async () => {
  const refused: Response[] = []
  const both = () => refused.some(cameIn) && !refused.every(cameIn)
  const shed = () => gateway.metric('requests_shed_total', { reason: 'admission' })
  const answered = () => gateway.metric('http_requests_total', { route: path, status: '503' })
  const before = [await shed(), await answered()] as [number, number]
  await eventually(async () => refused.push(...(await askAll())), both)

  expect(new Set(refused.map(({ status }) => status))).toEqual(new Set([503]))
  const bodies = await Promise.all(refused.map((response) => response.text()))
  expect(new Set(bodies).size).toBe(1)
  const told = (response: Response) =>
    [...response.headers]
      .map(([name, value]) => (/^(date|x-request-id|retry-after.*)$/.test(name) ? name : `${name}: ${value}`))
      .filter((line) => !/^(x-)?ratelimit/.test(line))
      .sort()
  const inside = refused.find(cameIn)!
  for (const response of refused) expect(told(response)).toEqual(told(inside))
  expect(new Set(refused.map(({ headers }) => headers.get('x-request-id'))).size).toBe(refused.length)

  expect(await shed()).toBe(before[0] + refused.length)
  expect(await answered()).toBe(before[1] + refused.length)
  expect(provider.calls.length, 'none of them was sent on').toBeLessThan(60)
})

test('its body is not waited for, and its connection goes on; what is large, or of another key, comes in', async () => {
  const post = (key: string, bytes: number) =>
    `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\ncontent-length: ${bytes}\r\n\r\n`
  const last = 'GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'
  const turnedAway = (text: string) => !/^ratelimit/im.test(text.split('\r\n\r\n')[0]!)
  const beside = async (...pieces: string[]) => {
    const all = askAll()
    // Until the crowd has filled the queue.
    await eventually(async () => (await gateway.metric('admission_queue_depth'))! >= 32)
    const text = await exchange(gateway.url, ...pieces)
    await all
    return text
  }
  const text = await eventually(() => beside(post(testKey, 9), '{"model":', last), turnedAway)
  expect(statuses(text)).toEqual([503, 200])

  const large = 100_000
  const ofLarge = await beside(post(testKey, large), ' '.repeat(large), last)
  expect(statuses(ofLarge)[0]).toBe(503)
  expect(turnedAway(ofLarge)).toBe(false)
  const [other] = statuses(await beside(post('ak_live_another_key_0123456789', 2), '{}', last))
  expect(other).toBe(401)
})
