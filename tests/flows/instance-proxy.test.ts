import { connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually, startTestGateway, type TestGateway, testKey } from '../support/gateway.ts'

const strangersKey = 'ak_live_strangerstrangerstranger0003'
let gateway: TestGateway
let id: string

beforeAll(async () => {
  gateway = await startTestGateway({ market: { provisioningMs: 20, loadingMs: 20, paced: false } })
  gateway.accounts.add(strangersKey, {
    accountId: '00000000-0000-7000-8000-000000000009',
    keyId: 'stranger',
    role: 'user',
    scopes: ['gpu'],
    limits: { key: {}, account: {} },
  })
  const { offers } = await (await gateway.get('/api/v1/gpu/offers?provider=vastai&limit=1')).json()
  const made = await gateway.post(
    '/api/v1/gpu/instances',
    { offer_id: offers[0].id, image: 'ubuntu:24.04', ports: [8000, 9000] },
    { headers: { 'idempotency-key': 'proxied' } },
  )
  id = (await made.json()).id
  expect((await proxy('/echo')).status).toBe(409)
  await eventually(
    () => proxy('/echo'),
    ({ status }) => status === 200,
  )
})
afterAll(() => gateway.close())

const proxy = (path: string, init?: RequestInit) => gateway.get(`/api/v1/gpu/instances/${id}/proxy${path}`, init)
const echo = async (path: string, init?: RequestInit) => (await proxy(path, init)).json()

test.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'])('%s reaches the instance, and its body', async (method) => {
  const body = method === 'GET' ? undefined : '{"some":"thing"}'
  const seen = await echo('/echo?x=1', {
    method,
    ...(body && { body, headers: { 'content-type': 'application/json' } }),
  })
  expect(seen).toMatchObject({ method, path: '/echo?x=1', port: 8000 })
  if (body) expect(JSON.stringify(seen.body)).toContain('thing')
})

test('neither a credential of the gateway nor who the caller is leaves for a stranger’s machine', async () => {
  const { headers } = await echo('/echo', {
    headers: {
      ...{ 'x-api-key': testKey, cookie: 'session=canary', 'x-forwarded-for': '198.51.100.7', forwarded: 'for=canary' },
      ...{ 'x-real-ip': '198.51.100.7', 'x-mine': 'kept' },
    },
  })
  expect(JSON.stringify(headers)).not.toMatch(/canary|198\.51|ak_live/)
  expect(headers).toMatchObject({ 'x-mine': 'kept' })
  expect(headers.authorization).toBeUndefined()
})

test('what it answers may do nothing in a browser under the gateway’s name', async () => {
  const { headers } = await proxy('/echo')
  expect(headers.get('content-security-policy')).toBe('sandbox')
  expect(headers.get('x-content-type-options')).toBe('nosniff')
})

/** As nobody's client would write it: nothing is resolved on the way. */
function rawStatus(path: string): Promise<string> {
  const { hostname, port } = new URL(gateway.url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () =>
      socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${testKey}\r\nconnection: close\r\n\r\n`),
    )
    let text = ''
    socket.on('data', (data) => (text += data)).on('end', () => resolve(text.slice(9, 12)))
    socket.on('error', reject)
  })
}

test.each([
  '//169.254.169.254/latest/meta-data',
  '/http://169.254.169.254/',
  '/@169.254.169.254/',
  '/..%2f..%2fv1/models',
  '/%2561',
  '/\\169.254.169.254/',
])('%s is a path at the instance, and nowhere else', async (path) => {
  const before = hostCalls().length
  expect(['404', '400']).toContain(await rawStatus(`/api/v1/gpu/instances/${id}/proxy${path}`))
  expect(hostCalls().length - before).toBeLessThanOrEqual(1)
})
const hostCalls = () => gateway.sandbox.vastai.host(gateway.sandbox.vastai.machines()[0]!.id)!.calls

test('another port is reached by its number, where it is published', async () => {
  const port = (number: string) => ({ headers: { 'x-gpuproxy-port': number } })
  expect(await echo('/echo', port('9000'))).toMatchObject({ port: 9000 })
  expect((await proxy('/echo', port('9001'))).status).toBe(409)
  expect((await proxy('/echo', port('nine'))).status).toBe(400)
})

test('what is not passed on says so', async () => {
  expect((await proxy('/echo', { method: 'OPTIONS' })).status).toBe(405)
})

test('its caller’s leaving ends what is under way there', async () => {
  const leaving = new AbortController()
  const response = await proxy('/slow', { signal: leaving.signal })
  await response.body!.getReader().read()
  leaving.abort()
  await eventually(() => hostCalls().some(({ path, closedAt }) => path === '/slow' && closedAt !== undefined))
})

test('to others it is not there, and to nobody once it is destroyed', async () => {
  const strangers = { headers: { authorization: `Bearer ${strangersKey}` } }
  expect((await proxy('/echo', strangers)).status).toBe(404)
  expect((await proxy('/echo', { headers: { authorization: 'Bearer ak_live_nobodynobodynobody00001' } })).status).toBe(
    401,
  )
  await gateway.get(`/api/v1/gpu/instances/${id}`, { method: 'DELETE' })
  await eventually(
    () => proxy('/echo'),
    ({ status }) => status === 404,
  )
})
