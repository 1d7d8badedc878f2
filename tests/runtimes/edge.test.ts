/** What the edge promises, on Node and in the real worker runtime. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import OpenAI from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { systemClock } from '../../src/resilience/clock.ts'
import { createAccessTokens } from '../../src/services/access-tokens.ts'
import { startEdgeNode } from '../support/edge-node.ts'
import { type RunningEdge, startEdgeWorker } from '../support/edge-worker.ts'
import { startTestGateway, type TestGateway, testJwtSecret, testKey } from '../support/gateway.ts'
import { json, type Origin, startOrigin } from '../support/origin.ts'
import { caller, newPerson } from '../support/people.ts'

const pageOf = 'https://app.example.com'
const purgeToken = 'a-token-of-the-tests-that-purges'

describe.each([
  ['on Node', startEdgeNode],
  ['in the worker runtime', startEdgeWorker],
])('the edge %s', (_, start) => {
  describe('in front of a gateway', () => {
    let gateway: TestGateway
    let edge: RunningEdge

    beforeAll(async () => {
      gateway = await startTestGateway()
      edge = await start({
        ORIGINS: gateway.url,
        JWT_SECRET: testJwtSecret,
        CORS_ORIGINS: pageOf,
        PURGE_TOKEN: purgeToken,
      })
    })
    afterAll(async () => {
      await edge.close()
      await gateway.close()
    })
    const get = (path: string, headers: Record<string, string> = {}) => fetch(edge.url + path, { headers })
    const again = async (path: string, headers: Record<string, string>, wanted: string) => {
      // The answer leaves before it is stored.
      for (;;) {
        const answer = await get(path, headers)
        if (answer.headers.get('x-edge-cache') === wanted) return answer
        await answer.arrayBuffer()
      }
    }

    test('answers a page for all out of the cache, with its age', async () => {
      const first = await get('/docs')
      expect([first.status, first.headers.get('x-edge-cache')]).toEqual([200, 'MISS'])
      const page = await first.text()
      const second = await again('/docs', {}, 'HIT')
      expect(second.headers.get('age')).toMatch(/^\d+$/)
      expect(await second.text()).toBe(page)
      expect(second.headers.get('x-request-id')).not.toBe(first.headers.get('x-request-id'))
      expect(second.headers.get('cache-tag')).toBe(null)
      const known = await get('/docs', { 'if-none-match': second.headers.get('etag') ?? '' })
      expect([known.status, await known.text()]).toEqual([304, ''])
    })

    test('takes a GET that tells of a body of no length, refuses one that has a body, and blames no region', async () => {
      const ask = async (headers: Record<string, string>, body?: string) => {
        const asking = request(`${edge.url}/docs`, { method: 'GET', headers })
        const answered = once(asking, 'response')
        asking.end(body)
        const [answer] = (await answered) as [IncomingMessage]
        answer.resume()
        return answer.statusCode
      }
      expect(await ask({ 'content-length': '0' })).toBe(200)
      expect([200, 400]).toContain(await ask({ 'content-length': '2' }, '{}'))
      expect((await get('/v1/models', { authorization: `Bearer ${testKey}` })).status).toBe(200)
    })

    test('keeps no probe’s answer', async () => {
      for (const path of ['/livez', '/readyz', '/health']) {
        for (let i = 0; i < 2; i++) expect((await get(path)).headers.get('x-edge-cache')).not.toBe('HIT')
        expect((await get(path)).headers.get('cache-control')).toContain('no-store')
      }
    })

    test('asks anew after a purge, which only the token can have', async () => {
      await (await get('/openapi.json')).text()
      await (await again('/openapi.json', {}, 'HIT')).text()
      const purge = (token: string) =>
        fetch(`${edge.url}/edge/purge`, {
          method: 'POST',
          headers: { authorization: `Bearer ${token}` },
          body: '{"tags":["docs"]}',
        })
      expect((await purge('another token of the tests')).status).toBe(404)
      expect((await get('/openapi.json')).headers.get('x-edge-cache')).toBe('HIT')
      expect((await purge(purgeToken)).status).toBe(204)
      expect((await get('/openapi.json')).headers.get('x-edge-cache')).toBe('MISS')
    })

    test('gives members the list of offers that it has, and nothing of who asked first', async () => {
      const call = caller(gateway.url)
      const headersOf = async () => ({ authorization: `Bearer ${(await newPerson(call)).token}` })
      const [a, b] = [await headersOf(), await headersOf()]
      const path = '/api/v1/gpu/offers?limit=7'
      const first = await get(path, a)
      expect([first.status, first.headers.get('x-edge-cache')]).toEqual([200, 'MISS'])
      await first.text()
      await (await again(path, a, 'HIT')).text()
      // The origin has not said yet that this one is good.
      const other = await get(path, b)
      expect(other.headers.get('x-edge-cache')).not.toBe('HIT')
      await other.text()
      const second = await again(path, b, 'HIT')
      expect(second.headers.get('ratelimit')).toBe(null)
      expect(second.headers.get('x-ratelimit-remaining-requests')).toBe(null)
      expect((await second.json()).offers).toHaveLength(7)
      expect((await get(path)).status).toBe(401)
      expect((await get(path, { 'x-api-key': 'ak_live_thisisnobodyskeyatall' })).status).toBe(401)
      const key = await get(path, { authorization: `Bearer ${testKey}` })
      expect([key.status, key.headers.get('x-edge-cache')]).toEqual([200, 'BYPASS'])
    })

    test('keeps nothing for strangers that the origin said to somebody, however he said who he is', async () => {
      const call = caller(gateway.url)
      const { token } = await newPerson(call)
      const path = '/api/v1/gpu/offers?limit=9'
      for (const headers of [
        { cookie: `gpuproxy_session=${token}`, 'x-gpuproxy-console': '1' },
        { authorization: `Bearer  \t${testKey}` },
        { authorization: `bearer \t ${testKey}` },
      ]) {
        const known = await get(path, headers as unknown as Record<string, string>)
        await known.text()
        expect(known.headers.get('x-edge-cache')).toBe('BYPASS')
        expect((await get(path)).status).toBe(401)
      }
    })

    test('takes no answer for its word on a token where the origin asks nobody who he is', async () => {
      const call = caller(gateway.url)
      const person = await newPerson(call)
      const headers = { authorization: `Bearer ${person.token}` }
      const path = '/api/v1/gpu/offers?limit=8'
      await (await get(path, headers)).text()
      await (await again(path, headers, 'HIT')).text()
      expect((await call('POST', '/api/v1/auth/logout', undefined, { token: person.token })).status).toBeLessThan(300)
      // Five seconds later it has to ask again; meanwhile a page for all is no word on who this is.
      await expect.poll(async () => (await get(path, headers)).status, { timeout: 15_000, interval: 200 }).toBe(401)
      expect((await get('/livez', headers)).status).toBe(200)
      expect((await get('/api/v1/%68ealth', headers)).status).toBe(200)
      expect((await get('/openapi.json', headers)).status).toBe(200)
      expect((await get(path, headers)).status).toBe(401)
    })

    test('refuses a token that is not good, without asking the origin', async () => {
      const requests = () => gateway.log.filter(({ message }) => message === 'request').length
      const clock = { wallNow: () => Date.now() - 48 * 3_600_000 }
      const options = { newId: () => crypto.randomUUID(), secret: testJwtSecret, lifetimeMs: 1_000 }
      const subject = { accountId: crypto.randomUUID(), sessionId: crypto.randomUUID() }
      const old = await createAccessTokens({ clock, ...options }).issue(subject)
      const forged = await createAccessTokens({
        clock: systemClock,
        ...options,
        secret: 'a secret that is none of the tests at all',
      }).issue(subject)
      const before = requests()
      for (const { token } of [old, forged]) {
        const platform = await get('/api/v1/billing/balance', { authorization: `Bearer ${token}` })
        expect([platform.status, (await platform.json()).code]).toEqual([401, 'invalid_credential'])
        const openAi = await get('/v1/models', { authorization: `Bearer ${token}` })
        expect([openAi.status, (await openAi.json()).error.code]).toEqual([401, 'invalid_credential'])
      }
      const none = Buffer.from('{"alg":"none"}').toString('base64url')
      expect((await get('/v1/models', { authorization: `Bearer ${none}.e30.` })).status).toBe(401)
      expect(requests()).toBe(before)
    })

    test('serves the official SDK, whole and streamed', async () => {
      const client = new OpenAI({ baseURL: `${edge.url}/v1`, apiKey: testKey, maxRetries: 0 })
      const messages = [{ role: 'user' as const, content: 'hello' }]
      const whole = await client.chat.completions.create({ model: 'gpt-4o-mini', messages })
      expect(whole.choices[0]?.finish_reason).toBe('stop')
      const stream = await client.chat.completions.create({ model: 'gpt-4o-mini', messages, stream: true })
      let text = ''
      for await (const { choices } of stream) text += choices[0]?.delta.content ?? ''
      expect(text.length).toBeGreaterThan(0)
    })

    test('lets the pages of one origin read, and says nothing to others', async () => {
      const preflight = (origin: string) =>
        fetch(`${edge.url}/v1/models`, {
          method: 'OPTIONS',
          headers: { origin, 'access-control-request-method': 'GET' },
        })
      const allowed = await preflight(pageOf)
      expect(allowed.status).toBe(204)
      expect(allowed.headers.get('access-control-allow-origin')).toBe(pageOf)
      expect(allowed.headers.get('access-control-allow-credentials')).toBe(null)
      expect((await preflight('https://evil.example')).headers.get('access-control-allow-origin')).toBe(null)
      for (const origin of [pageOf, 'https://evil.example']) {
        const answer = await get('/docs', { origin })
        expect(answer.headers.get('access-control-allow-origin')).toBe(origin === pageOf ? origin : null)
        expect(answer.headers.get('vary')).toContain('origin')
        await answer.text()
      }
      // What a rented machine serves is the machine's to open.
      const machine = await fetch(`${edge.url}/api/v1/gpu/instances/${crypto.randomUUID()}/proxy/x`, {
        method: 'OPTIONS',
        headers: { origin: pageOf, 'access-control-request-method': 'GET' },
      })
      expect([machine.status, machine.headers.get('access-control-allow-origin')]).toEqual([401, null])
    })

    test('refuses what is too large before anybody reads it', async () => {
      const long = await get(`/docs?${'x'.repeat(9_000)}`)
      expect([long.status, (await long.json()).code]).toEqual([400, 'invalid_header'])
    })
  })

  describe('in front of two regions', () => {
    let origins: Origin[] = []
    let edge: RunningEdge | undefined
    const begin = async (answers: Parameters<typeof startOrigin>[], env: Record<string, string> = {}) => {
      origins = await Promise.all(answers.map((each) => startOrigin(...each)))
      edge = await start({ ORIGINS: origins.map(({ url }) => url).join(','), ...env })
      return edge.url
    }
    afterEach(async () => {
      await edge?.close()
      await Promise.all(origins.map((each) => each.kill().catch(() => {})))
      origins = []
    })
    const named = (name: string) =>
      [((_, answer) => json(answer, { name })) as Parameters<typeof startOrigin>[0]] as [
        Parameters<typeof startOrigin>[0],
      ]
    const nameAt = async (answer: Response) => ((await answer.json()) as { name: string }).name
    const post = (url: string, headers: Record<string, string> = {}) =>
      fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: '{"a":1}' })

    test('asks the first one, and the second when the first is gone', async () => {
      const url = await begin([named('first'), named('second')])
      expect(await nameAt(await post(`${url}/v1/x`))).toBe('first')
      await origins[0]!.kill()
      for (let i = 0; i < 20; i++) expect(await nameAt(await fetch(`${url}/v1/x?${i}`))).toBe('second')
      for (let i = 0; i < 5; i++) expect(await nameAt(await post(`${url}/v1/x`))).toBe('second')
      expect(origins[1]!.asked.filter(({ method }) => method === 'POST')).toHaveLength(5)
    })

    test('does not send twice what may have been carried out, unless a key keeps it from being done twice', async () => {
      const cut: Parameters<typeof startOrigin>[0] = (_, answer) => answer.socket?.resetAndDestroy()
      const url = await begin([[cut], named('second')])
      const lost = await post(`${url}/v1/x`)
      expect([lost.status, (await lost.json()).error.code]).toEqual([503, 'region_unreachable'])
      expect(origins[1]!.asked).toEqual([])
      expect(await nameAt(await post(`${url}/v1/x`, { 'idempotency-key': 'k' }))).toBe('second')
      expect(origins[1]!.asked[0]?.body).toBe('{"a":1}')
    })

    test.each([
      ['/v1/chat/completions', 'second'],
      ['/api/v1/billing/payments?x=1', 'second'],
      ['/api/v1/auth/register', undefined],
      ['/api/v1/gpu/instances/1/proxy/x', undefined],
    ])('a key lets it be sent again only where keys count: %s to %s', async (path, region) => {
      const cut: Parameters<typeof startOrigin>[0] = (_, answer) => answer.socket?.resetAndDestroy()
      const url = await begin([[cut], named('second')])
      const answer = await post(url + path, { 'idempotency-key': 'k' })
      expect(origins[0]!.asked).toHaveLength(1)
      expect(origins[1]!.asked).toHaveLength(region === undefined ? 0 : 1)
      if (region === undefined) expect([answer.status, (await answer.json()).code]).toEqual([503, 'region_unreachable'])
      else expect(await nameAt(answer)).toBe(region)
    })

    test('does not hand on that nothing was done, after another region may have done it', async () => {
      const busy: Parameters<typeof startOrigin>[0] = (_, answer) =>
        json(answer, {}, { 'retry-after': '1', 'x-should-retry': 'true' }, 503)
      const cut: Parameters<typeof startOrigin>[0] = (_, answer) => answer.socket?.resetAndDestroy()
      const url = await begin([[busy], [cut]])
      const lost = await post(`${url}/v1/x`)
      expect([lost.status, lost.headers.get('x-should-retry')]).toEqual([503, 'false'])
      expect((await lost.json()).error.code).toBe('region_unreachable')
      const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: testKey, maxRetries: 2 })
      const messages = [{ role: 'user' as const, content: 'hello' }]
      await expect(client.chat.completions.create({ model: 'gpt-4o-mini', messages })).rejects.toThrow()
      // Once for the request above, and for the SDK's at most once: while that region is not asked the refusal is true.
      expect(origins[1]!.asked.length).toBeLessThanOrEqual(2)
    })

    test('goes on where the first says that it has done nothing, and only there', async () => {
      let sure = true
      const busy: Parameters<typeof startOrigin>[0] = (_, answer) =>
        json(answer, {}, { 'retry-after': '1', 'x-should-retry': String(sure) }, 503)
      const url = await begin([[busy], named('second')])
      expect(await nameAt(await post(`${url}/v1/x`))).toBe('second')
      sure = false
      expect((await post(`${url}/v1/x`)).status).toBe(503)
      expect(await nameAt(await fetch(`${url}/v1/y`))).toBe('second')
      expect(origins[1]!.asked).toHaveLength(2)
    })

    test('reads where it wrote', async () => {
      const busy: Parameters<typeof startOrigin>[0] = ({ method }, answer) =>
        method === 'GET'
          ? json(answer, { name: 'first' })
          : json(answer, {}, { 'retry-after': '1', 'x-should-retry': 'true' }, 503)
      const url = await begin([[busy], named('second')])
      const headers = { authorization: 'Bearer ak_live_somebodyskeyofthetests' }
      expect(await nameAt(await post(`${url}/api/v1/things`, headers))).toBe('second')
      expect(await nameAt(await fetch(`${url}/api/v1/things`, { headers }))).toBe('second')
    })

    test('answers with what it has while every region is down', async () => {
      const page: Parameters<typeof startOrigin>[0] = (_, answer) =>
        answer.writeHead(200, { 'cache-control': 'public, max-age=1', age: '100' }).end('page')
      const url = await begin([[page], [page]])
      const first = await fetch(`${url}/docs`)
      expect(await first.text()).toBe('page')
      await Promise.all(origins.map((each) => each.kill()))
      for (;;) {
        const answer = await fetch(`${url}/docs`)
        if (answer.headers.get('x-edge-cache') !== 'STALE') continue
        expect([answer.status, await answer.text()]).toEqual([200, 'page'])
        break
      }
      const other = await fetch(`${url}/other`)
      expect([other.status, other.headers.get('retry-after')]).toEqual([503, '2'])
    })

    test('gives the whole of an encoded page to who asks for a part of what is stored', async () => {
      const text = 'a page '.repeat(100)
      const headers = { 'cache-control': 'public, max-age=60', 'content-encoding': 'gzip' }
      const page: Parameters<typeof startOrigin>[0] = (_, answer) => answer.writeHead(200, headers).end(gzipSync(text))
      const url = await begin([[page]])
      for (;;) {
        const answer = await fetch(`${url}/docs`, { headers: { range: 'bytes=0-9' } })
        expect(await answer.text()).toBe(text)
        if (answer.headers.get('x-edge-cache') !== 'HIT') continue
        expect([answer.status, answer.headers.get('content-range')]).toEqual([200, null])
        break
      }
    })

    test('hands events on as they come', async () => {
      let goOn = () => {}
      const events: Parameters<typeof startOrigin>[0] = (_, answer) => {
        answer.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
        goOn = () => answer.end('data: 2\n\n')
      }
      const url = await begin([[events]])
      const answer = await post(`${url}/v1/chat/completions`)
      const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
      expect((await reader.read()).value).toBe('data: 1\n\n')
      goOn()
      expect((await reader.read()).value).toBe('data: 2\n\n')
      expect((await reader.read()).done).toBe(true)
    })

    test('says who calls and what is asked for, and takes no word of the caller for it', async () => {
      const url = await begin([named('first')])
      const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
      await post(`${url}/v1/x`, {
        traceparent,
        'x-forwarded-for': '1.2.3.4',
        'x-forwarded-host': 'evil.example',
        'x-real-ip': '1.2.3.4',
        forwarded: 'for=1.2.3.4',
        'x-request-id': 'mine',
        te: 'trailers',
      })
      const { headers } = origins[0]!.asked[0]!
      expect(headers.traceparent).toBe(traceparent)
      expect(headers['x-forwarded-for']).toBe('127.0.0.1')
      expect(headers['x-request-id']).toMatch(/^[\da-f-]{36}$/)
      for (const name of ['x-forwarded-host', 'x-real-ip', 'forwarded', 'te']) expect(headers[name]).toBe(undefined)
    })

    test('counts by address', async () => {
      const url = await begin([named('first')], { EDGE_RATE_LIMIT_PER_MINUTE: '5' })
      const statuses: number[] = []
      for (let i = 0; i < 7; i++) statuses.push((await post(`${url}/v1/x`)).status)
      expect(statuses).toEqual([200, 200, 200, 200, 200, 429, 429])
      expect(origins[0]!.asked).toHaveLength(5)
    })
  })
})

// Node's server hands upgrades to no web handler: the gateway has a way of its own for them, and the edge runs in workers.
test('the edge in the worker runtime joins a WebSocket with its region', async () => {
  const sockets = new WebSocketServer({ noServer: true })
  const origin = await startOrigin(
    (_, answer) => answer.writeHead(400).end(),
    (request, socket, head) =>
      sockets.handleUpgrade(request, socket, head, (joined) => {
        joined.on('message', (message) => joined.send(`${request.url} ${message}`))
      }),
  )
  const edge = await startEdgeWorker({ ORIGINS: origin.url })
  const socket = new WebSocket(`${edge.url.replace('http', 'ws')}/api/v1/gpu/instances/1/proxy/ws`)
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  const echoed = new Promise((resolve) => socket.once('message', (message) => resolve(String(message))))
  socket.send('hello')
  expect(await echoed).toBe('/api/v1/gpu/instances/1/proxy/ws hello')
  socket.terminate()
  await edge.close()
  await origin.kill()
})

// The network of the edge on Node has read a body before it sends it.
test('the edge in the worker runtime blames no region for a caller who breaks off what he sends', async () => {
  const [began, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const first = createServer((asked, answer) => {
    if (asked.url === '/v1/y') return json(answer, { name: 'first' })
    asked.once('data', () => began.resolve()).once('close', () => ended.resolve())
  })
  await new Promise<void>((resolve) => first.listen(0, '127.0.0.1', resolve))
  const second = await startOrigin((_, answer) => json(answer, { name: 'second' }))
  const edge = await startEdgeWorker({
    ORIGINS: `http://127.0.0.1:${(first.address() as AddressInfo).port},${second.url}`,
  })
  const sending = request(`${edge.url}/v1/x`, { method: 'POST', headers: { 'content-length': 4_000_000 } })
  sending.on('error', () => {}).write('x'.repeat(3_000_000))
  await began.promise
  sending.destroy()
  await ended.promise
  for (let i = 0; i < 20; i++) {
    const answer = await fetch(`${edge.url}/v1/y`, { method: 'POST', body: '{}' })
    expect(await answer.json()).toEqual({ name: 'first' })
  }
  await edge.close()
  first.close()
  await second.kill()
})

test('the edge in the worker runtime is given a secret letter for letter', async () => {
  const secret = `a-$HOME-\\n-"'\`-#-secret-of-the-tests\\`
  const tokens = createAccessTokens({
    clock: systemClock,
    newId: () => crypto.randomUUID(),
    secret,
    lifetimeMs: 60_000,
  })
  const { token } = await tokens.issue({ accountId: crypto.randomUUID(), sessionId: crypto.randomUUID() })
  const origin = await startOrigin((_, answer) => json(answer, {}))
  const edge = await startEdgeWorker({ ORIGINS: origin.url, JWT_SECRET: secret })
  expect((await fetch(`${edge.url}/v1/x`, { headers: { authorization: `Bearer ${token}` } })).status).toBe(200)
  await edge.close()
  await origin.kill()
})
