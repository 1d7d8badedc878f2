/** WebSockets to rented machines: by Node's own client through the gateway's own server, to an echo. */
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { eventually, startTestGateway, testKey } from '../support/gateway.ts'
import { type RentedMachine, startRentedMachine } from '../support/rented-machine.ts'

let machine: RentedMachine
const seen: { path: string; headers: Record<string, unknown> }[] = []
const echo = new WebSocketServer({ noServer: true, perMessageDeflate: true })
beforeAll(async () => {
  machine = await startRentedMachine((_, res) => res.writeHead(426, { 'x-mine': 'no' }).end('only sockets'))
  machine.server.on('upgrade', (req, socket, head) => {
    seen.push({ path: req.url!, headers: req.headers })
    if (req.url === '/refused')
      return socket.end('HTTP/1.1 403 Forbidden\r\nx-mine: yes\r\ncontent-length: 2\r\n\r\nno')
    if (req.url === '/silent') return
    echo.handleUpgrade(req, socket, head, (peer) => {
      if (req.url === '/close') peer.close(4001, 'its own reason')
      if (req.url === '/first') peer.send('before you said anything')
      peer.on('message', (data, isBinary) => peer.send(data, { binary: isBinary }))
      peer.on('error', () => {})
    })
  })
})
afterAll(() => machine.close())

const headers = { authorization: `Bearer ${testKey}` }
const open = (path: string, init: { headers?: Record<string, string>; protocols?: string[] } = {}) => {
  const socket = new WebSocket(machine.url(path).replace('http', 'ws'), { headers, ...init } as unknown as string[])
  socket.binaryType = 'arraybuffer'
  return socket
}
const next = <T extends 'open' | 'message' | 'close'>(socket: WebSocket, type: T) =>
  new Promise<WebSocketEventMap[T]>((resolve, reject) => {
    socket.addEventListener(type, (event) => resolve(event as WebSocketEventMap[T]), { once: true })
    if (type !== 'close') socket.addEventListener('error', reject, { once: true })
  })
const opened = async (path: string, init?: Parameters<typeof open>[1]) => {
  const socket = open(path, init)
  await next(socket, 'open')
  return socket
}

/** Those of the tests before have ended on both sides. */
const noneOpen = () =>
  eventually(
    async () => echo.clients.size + ((await machine.gateway.metric('gpu_proxy_open', { kind: 'tunnels' })) ?? 1) === 0,
  )

/** As no client of WebSockets shows it: the whole answer. */
function raw(path: string, { key = testKey, more = '', url = machine.url(path) } = {}): Promise<string> {
  const { hostname, port, pathname, search } = new URL(url)
  const lines = [
    ...[`GET ${pathname}${search} HTTP/1.1`, 'host: x', `authorization: Bearer ${key}`, 'connection: Upgrade'],
    ...['upgrade: websocket', 'sec-websocket-version: 13', 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=='],
  ]
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(`${lines.join('\r\n')}\r\n${more}\r\n`))
    let text = ''
    socket.on('data', (data) => (text += data)).on('close', () => resolve(text))
    socket.on('error', reject)
  })
}

describe('a tunnel', () => {
  test('passes messages both ways, whatever they are', async () => {
    const socket = await opened('/ws?a=1')
    const big = new Uint8Array(3 * 1024 * 1024).map((_, i) => i % 251)
    for (const message of ['hello', '', 'ü'.repeat(70_000), big]) {
      socket.send(message)
      const { data } = await next(socket, 'message')
      expect(typeof message === 'string' ? data === message : Buffer.from(data).equals(Buffer.from(message))).toBe(true)
    }
    expect(socket.extensions).toBe('permessage-deflate')
    const closed = next(socket, 'close')
    socket.close(4000, 'done')
    expect(await closed).toMatchObject({ code: 4000, reason: 'done', wasClean: true })
  })

  test('keeps what the machine says first, and its own words at the end', async () => {
    const first = open('/first')
    expect((await next(first, 'message')).data).toBe('before you said anything')
    first.close()
    expect(await next(open('/close'), 'close')).toMatchObject({ code: 4001, reason: 'its own reason' })
  })

  test('speaks the protocol that both know, and no credential of the gateway passes through it', async () => {
    const own = {
      ...headers,
      'x-api-key': testKey,
      cookie: 'a=1; gpuproxy_s=canary',
      'x-forwarded-for': '198.51.100.7',
    }
    const socket = await opened('/ws//..%2f?x', {
      headers: { ...own, origin: 'https://a.example' },
      protocols: ['chat.v2', 'b'],
    })
    expect(socket.protocol).toBe('chat.v2')
    socket.close()
    const { path, headers: came } = seen.at(-1)!
    expect(path).toBe('/ws//..%2f?x')
    expect(JSON.stringify(came)).not.toMatch(/canary|198\.51|ak_live/)
    expect(came).toMatchObject({ cookie: 'a=1', origin: 'https://a.example' })
    expect(came.host).toMatch(/^127\.0\.0\.1:/)
  })

  test('passes what the caller sent behind his request', async () => {
    // A text frame "hi", masked with zeros, and a closing one.
    const frames = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69, 0x88, 0x80, 0, 0, 0, 0]).toString('latin1')
    const { hostname, port, pathname } = new URL(machine.url('/ws'))
    const text = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => {
        const head = `GET ${pathname} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${testKey}\r\nconnection: Upgrade\r\n`
        const more =
          'upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
        socket.write(Buffer.from(head + more + frames, 'latin1'))
      })
      let all = ''
      socket
        .on('data', (data) => (all += data.toString('latin1')))
        .on('close', () => resolve(all))
        .on('error', reject)
    })
    expect(text).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/)
    expect(text).toContain('\x81\x02hi')
    expect(text).toMatch(/\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/i)
  })

  test('counts as a request under way until it is closed', async () => {
    const { gateway } = machine
    await noneOpen()
    const socket = await opened('/ws')
    expect(await gateway.metric('gpu_proxy_open', { kind: 'tunnels' })).toBe(1)
    expect(await gateway.metric('streams_in_flight')).toBe(1)
    const before = gateway.log.length
    socket.close()
    await eventually(() => gateway.log.slice(before).some(({ status }) => status === 101))
    expect(await gateway.metric('gpu_proxy_open', { kind: 'tunnels' })).toBe(0)
    expect(await gateway.metric('streams_in_flight')).toBe(0)
  })

  test('that the machine drops is dropped for the caller', async () => {
    const socket = await opened('/ws')
    const closed = next(socket, 'close')
    for (const peer of echo.clients) peer.terminate()
    expect(await closed).toMatchObject({ code: 1006 })
  })

  test('that the caller drops is dropped at the machine', async () => {
    await noneOpen()
    const { hostname, port, pathname } = new URL(machine.url('/ws'))
    const head = `GET ${pathname} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${testKey}\r\nconnection: Upgrade\r\n`
    const socket = connect(Number(port), hostname, () =>
      socket.write(
        `${head}upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
      ),
    )
    await eventually(() => echo.clients.size === 1)
    socket.destroy()
    await eventually(() => echo.clients.size === 0)
  })
})

describe('what is refused is answered in plain HTTP', () => {
  test('without a credential, by a stranger’s, without the scope', async () => {
    expect(await raw('/ws', { key: 'ak_live_nobodynobodynobody00001' })).toMatch(
      /^HTTP\/1\.1 401 [\s\S]*invalid_credential/,
    )
    const account = {
      accountId: '00000000-0000-7000-8000-000000000009',
      role: 'user',
      limits: { key: {}, account: {} },
    } as const
    const keys = { stranger: 'ak_live_strangerstrangerstranger0003', scopeless: 'ak_live_scopelessscopelessscope00004' }
    machine.gateway.accounts.add(keys.stranger, { ...account, keyId: 'stranger', scopes: ['gpu'] })
    machine.gateway.accounts.add(keys.scopeless, { ...account, keyId: 'scopeless', scopes: ['inference'] })
    const before = seen.length
    expect(await raw('/ws', { key: keys.stranger })).toMatch(/^HTTP\/1\.1 404 [\s\S]*instance_not_found/)
    expect(await raw('/ws', { key: keys.scopeless })).toMatch(/^HTTP\/1\.1 403 [\s\S]*scope_missing/)
    expect(await raw('/ws', { more: 'x-gpuproxy-port: 9999\r\n' })).toMatch(
      /^HTTP\/1\.1 409 [\s\S]*instance_not_running/,
    )
    expect(seen.length).toBe(before)
  })

  test('by the machine, with its own answer', async () => {
    expect(await raw('/refused')).toMatch(/^HTTP\/1\.1 403 [\s\S]*x-mine: yes[\s\S]*no$/)
  })

  test('where there is nothing to reach', async () => {
    const nobody = machine.rent('http://127.0.0.1:1')
    expect(await raw('/ws', { url: machine.url('/ws', nobody) })).toMatch(/^HTTP\/1\.1 502 [\s\S]*instance_unreachable/)
  })

  test('and elsewhere a WebSocket was never asked for', async () => {
    const answer = await raw('', { url: `${machine.gateway.url}/api/v1/gpu/instances`, more: 'connection: close\r\n' })
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
  })
})

describe('ends', () => {
  test('with the rental, though neither side wants it to', async () => {
    const socket = await opened('/ws')
    const closed = next(socket, 'close')
    machine.change({ state: 'ending' })
    expect(await closed).toMatchObject({ code: 1006 })
    await eventually(async () => (await raw('/ws')).startsWith('HTTP/1.1 409 '))
    machine.change({ state: 'running' })
    await eventually(async () => {
      const again = open('/ws')
      return next(again, 'open').then(
        () => again.close() === undefined,
        () => false,
      )
    })
  })

  test('with the pod, as the other streams do', async () => {
    const other = await startRentedMachine((_, res) => res.end())
    other.server.on('upgrade', (req, socket, head) => echo.handleUpgrade(req, socket, head, () => {}))
    const socket = new WebSocket(other.url('/ws').replace('http', 'ws'), { headers } as unknown as string[])
    await next(socket, 'open')
    const closed = next(socket, 'close')
    // Waits for it for so long, and for nothing after that.
    await other.gateway.drain({ delayMs: 0, timeoutMs: 100 })
    await closed
    await other.close()
  })
})

test('the sandbox’s machine echoes through the gateway, and is out of reach once it is destroyed', async () => {
  const gateway = await startTestGateway({ market: { provisioningMs: 20, loadingMs: 20, paced: false } })
  const { offers } = await (await gateway.get('/api/v1/gpu/offers?provider=vastai&limit=1')).json()
  const made = await gateway.post(
    '/api/v1/gpu/instances',
    { offer_id: offers[0].id, image: 'ubuntu:24.04', ports: [8000] },
    { headers: { 'idempotency-key': 'tunnelled' } },
  )
  const { id } = await made.json()
  const path = `/api/v1/gpu/instances/${id}/proxy`
  await eventually(
    () => gateway.get(`${path}/health`),
    ({ status }) => status === 200,
  )
  const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}${path}/ws`, { headers } as unknown as string[])
  await next(socket, 'open')
  socket.send('hello')
  expect((await next(socket, 'message')).data).toBe('hello')
  const closed = next(socket, 'close')
  await gateway.get(`/api/v1/gpu/instances/${id}`, { method: 'DELETE' })
  await closed
  await eventually(async () => (await raw('', { url: `${gateway.url}${path}/ws` })).startsWith('HTTP/1.1 404 '))
  await gateway.close()
})
