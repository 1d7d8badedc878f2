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
      ...{
        'x-api-key': testKey,
        'x-forwarded-for': '198.51.100.7',
        forwarded: 'for=canary',
        'x-real-ip': '198.51.100.7',
      },
      ...{ cookie: 'theirs=1; gpuproxy_session=canary', 'x-gpuproxy-authorization': 'Bearer of-the-machine' },
      ...{ 'x-mine': 'kept', 'accept-encoding': 'br, x-mine', 'user-agent': 'of-the-caller' },
    },
  })
  expect(JSON.stringify(headers)).not.toMatch(/canary|198\.51|ak_live|x-gpuproxy/)
  expect(headers).toMatchObject({
    ...{ 'x-mine': 'kept', 'accept-encoding': 'br, x-mine', 'user-agent': 'of-the-caller', cookie: 'theirs=1' },
    ...{ authorization: 'Bearer of-the-machine', host: expect.stringMatching(/^127\.0\.0\.1:/) },
  })
})

test('what it answers may do nothing in a browser under the gateway’s name', async () => {
  const { headers } = await proxy('/echo')
  expect(headers.get('content-security-policy')).toBe('sandbox')
  expect(headers.get('x-content-type-options')).toBe('nosniff')
})

/** As nobody's client would write it: nothing is resolved on the way. */
function raw(path: string, { method = 'GET', more = '' } = {}): Promise<string> {
  const { hostname, port } = new URL(gateway.url)
  return new Promise((resolve, reject) => {
    const head = `host: x\r\nauthorization: Bearer ${testKey}\r\nconnection: close\r\n${more}`
    const socket = connect(Number(port), hostname, () => socket.write(`${method} ${path} HTTP/1.1\r\n${head}\r\n`))
    let text = ''
    socket.on('data', (data) => (text += data)).on('end', () => resolve(text))
    socket.on('error', reject)
  })
}
const statusOf = (answer: string) => Number(answer.slice(9, 12))
const hostCalls = () => gateway.sandbox.vastai.host(gateway.sandbox.vastai.machines()[0]!.id)!.calls

test.each([
  '/echo/..%2f..%2fv1/%2561?q=%20/../x',
  '/echo/../../../../../v1/models',
  '/echo/./a/../b',
  '/echo//a///b',
  '/echo/\\a|b^c{d}`e',
  '//169.254.169.254/latest/meta-data',
  '//169.254.169.254/..',
  '/http://169.254.169.254/',
  '/@169.254.169.254/',
  '/..%2f..%2fv1/models',
  '/../../../../../../health',
  '/\\169.254.169.254/',
  '?only=a-query',
])('%s goes on byte for byte, as a path at the instance', async (path) => {
  const before = hostCalls().length
  const route = `/api/v1/gpu/instances/${id}/proxy`
  const answers = [await raw(route + path), await raw(`http://elsewhere.example${route}${path}`)]
  const sent = path.startsWith('/') ? path : `/${path}`
  expect(
    hostCalls()
      .slice(before)
      .map((call) => call.path),
  ).toEqual([sent, sent])
  // The sandbox's machine knows `/echo/…` and `/health`.
  for (const answer of answers) {
    expect(statusOf(answer)).toBe(path.startsWith('/echo/') ? 200 : 404)
    if (path.startsWith('/echo/')) expect(JSON.parse(answer.slice(answer.indexOf('{'))).path).toBe(sent)
  }
})

test.each([
  (id: string) => `/api/v1/gpu/instances/${id}/%70roxy/echo`,
  (id: string) => `/api/v1/gpu/../gpu/instances/${id}/proxy/echo`,
  (id: string) => `/api/v1/gpu/instances/${id}/proxy%2f..%2fecho`,
  (id: string) => `/api/v1/gpu/instances/x/../${id}/proxy/echo`,
])('the way to it has one spelling: %s', async (path) => {
  const before = hostCalls().length
  expect(statusOf(await raw(path(id)))).toBe(404)
  expect(hostCalls().length).toBe(before)
})

test('what a machine was started with is told to nobody again', async () => {
  const { offers } = await (await gateway.get('/api/v1/gpu/offers?provider=vastai&limit=2')).json()
  const secrets = { env: { TOKEN: 'canary-env' }, args: ['--api-key', 'canary-arg'], onstart: 'echo canary-script' }
  const made = await gateway.post(
    '/api/v1/gpu/instances',
    { offer_id: offers[1].id, image: 'ubuntu:24.04', ...secrets },
    { headers: { 'idempotency-key': 'secretive' } },
  )
  const told = await made.text()
  const path = `/api/v1/gpu/instances/${JSON.parse(told).id}`
  const answers = [path, '/api/v1/gpu/instances', `${path}/logs`].map(async (each) => (await gateway.get(each)).text())
  const again = await gateway.get(path, { method: 'DELETE' })
  const all = [
    told,
    ...(await Promise.all(answers)),
    await again.text(),
    JSON.stringify(gateway.log),
    await gateway.metricsText(),
  ]
  expect(all.join()).not.toContain('canary')
})

test('another port is reached by its number, where it is published', async () => {
  const port = (number: string) => ({ headers: { 'x-gpuproxy-port': number } })
  expect(await echo('/echo', port('9000'))).toMatchObject({ port: 9000 })
  expect((await proxy('/echo', port('9001'))).status).toBe(409)
  expect((await proxy('/echo', port('nine'))).status).toBe(400)
})

test.each(['OPTIONS', 'PROPFIND', 'REPORT'])('%s is the instance’s to answer', async (method) => {
  expect(await echo('/echo', { method })).toMatchObject({ method, path: '/echo' })
})

test('HEAD tells what GET would, without the bytes', async () => {
  const answer = await proxy('/echo', { method: 'HEAD' })
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toContain('application/json')
  expect(await answer.text()).toBe('')
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
