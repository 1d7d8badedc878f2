/** A pod that is full: who is refused by the head of his request, and that it looks the same from outside. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
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
const queueIsFull = async () => (await gateway.metric('admission_queue_depth'))! >= 8
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

  // Those who came before the limit may have waited until then.
  const counted = [(await shed())! - before[0], (await answered())! - before[1]]
  expect(counted[0]).toBe(counted[1])
  expect(counted[0]! - refused.length).toBeGreaterThanOrEqual(0)
  expect(counted[0]! - refused.length).toBeLessThanOrEqual(40)
  expect(provider.calls.length, 'none of them was sent on').toBeLessThan(60)
})

test('its body is not waited for, and its connection goes on', async () => {
  const { hostname, port } = new URL(gateway.url)
  const head = `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${testKey}\r\ncontent-length: 9\r\n\r\n`
  const refused = await eventually(async () => {
    const crowding = askAll()
    await eventually(queueIsFull)
    const socket = connect(Number(port), hostname)
    let text = ''
    socket.on('data', (data) => (text += data))
    socket.write(head)
    await eventually(() => text.endsWith('}}'))
    const before = statuses(text)
    const closed = once(socket, 'close')
    socket.write('{"model":GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
    await closed
    await crowding
    // Who came in is told of limits.
    return /^ratelimit/im.test(text) ? undefined : { before, after: statuses(text) }
  })
  expect(refused).toEqual({ before: [503], after: [503, 200] })
})

test('a caller whose body never comes is cut half a second later, without another word', async () => {
  const head = `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${testKey}\r\ncontent-length: 9\r\n\r\n`
  const text = await eventually(
    async () => {
      const crowding = askAll()
      await eventually(queueIsFull)
      const told = await exchange(gateway.url, head)
      await crowding
      return told
    },
    (told) => !/^ratelimit/im.test(told),
  )
  expect(statuses(text)).toEqual([503])
})

test('what is large comes in, and so does another key, which is served', async () => {
  const large = 100_000
  const head = `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${testKey}\r\ncontent-length: ${large}\r\n\r\n`
  const last = 'GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'
  const crowding = askAll()
  await eventually(queueIsFull)
  const told = await exchange(gateway.url, head, ' '.repeat(large), last)
  expect(statuses(told)[0]).toBe(503)
  expect(told).toMatch(/^ratelimit/im)

  const quiet = 'ak_live_quietquietquietquietquiet01'
  const [accountId, keyId] = [randomUUID(), randomUUID()]
  const limits = { key: {}, account: {} }
  gateway.accounts.add(quiet, { accountId, keyId, role: 'user', scopes: ['inference'], limits })
  const before = provider.calls.length
  void gateway.post(path, body, { headers: { authorization: `Bearer ${quiet}` } }).catch(() => {})
  await eventually(() => provider.calls.length > before)
  await crowding
})
