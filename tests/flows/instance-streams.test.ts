/** What passes between a caller and the machine he rents: bytes, headers, and who ends what. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingMessage, request, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually, testKey } from '../support/gateway.ts'
import { type RentedMachine, startRentedMachine } from '../support/rented-machine.ts'

let machine: RentedMachine
/** What it does with the next call. */
let answer: (req: IncomingMessage, res: ServerResponse) => void = (_, res) => res.end()
let calls = 0
beforeAll(async () => {
  machine = await startRentedMachine((req, res) => {
    calls++
    answer(req, res)
  })
})
afterAll(() => machine.close())

const authorization = `Bearer ${testKey}`

/** As Node sends it: nothing is added, decoded or followed. */
function send(path: string, { method = 'GET', headers = {} as Record<string, string | string[]> } = {}) {
  const req = request(machine.url(path), { method, headers: { authorization, ...headers } })
  const answered = once(req, 'response').then(([res]) => res as IncomingMessage)
  // Looked at by those who mean it.
  answered.catch(() => {})
  return { req, answered }
}
async function ask(path: string, options?: Parameters<typeof send>[1], body?: Uint8Array) {
  const { req, answered } = send(path, options)
  req.end(body)
  const res = await answered
  return { status: res.statusCode, headers: res.headers, body: await buffer(res) }
}

const megabyte = 1024 * 1024
const total = 112 * megabyte
/** What sockets and streams on the way may hold together. */
const onTheWay = 48 * megabyte
const piece = Buffer.alloc(megabyte, 'a piece of no meaning ')
const digestOf = (pieces: number) => {
  const hash = createHash('sha256')
  for (let i = 0; i < pieces; i++) hash.update(piece)
  return hash.digest('hex')
}

/** Until it has not moved for a while. Called too early, it is only less than it might have been. */
async function standsStill(read: () => number): Promise<number> {
  let last = -1
  for (let still = 0; still < 30; still++) {
    if (read() !== last) still = 0
    last = read()
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return last
}

/** Writes as fast as it is taken. */
async function pour(
  to: { write(chunk: Uint8Array): boolean; once(event: 'drain', fn: () => void): unknown },
  count: (bytes: number) => void,
) {
  for (let sent = 0; sent < total; sent += megabyte) {
    count(sent)
    if (!to.write(piece)) await new Promise<void>((resolve) => to.once('drain', resolve))
  }
}

describe('bodies', () => {
  test('of any size go up no faster than the machine takes them', async () => {
    const { promise: goOn, resolve: release } = Promise.withResolvers<void>()
    const hash = createHash('sha256')
    answer = async (req, res) => {
      await goOn
      for await (const chunk of req) hash.update(chunk)
      res.end(hash.digest('hex'))
    }
    const { req, answered } = send('/up', { method: 'POST' })
    let sent = 0
    const poured = pour(req, (bytes) => (sent = bytes))
    expect(await standsStill(() => sent)).toBeLessThan(onTheWay)
    release()
    await poured
    req.end()
    expect((await buffer(await answered)).toString()).toBe(digestOf(total / megabyte))
  })

  test('of any size come down no faster than the caller takes them', async () => {
    let sent = 0
    answer = async (_, res) => {
      res.writeHead(200, { 'content-length': total })
      await pour(res, (bytes) => (sent = bytes))
      res.end()
    }
    const { req, answered } = send('/down')
    req.end()
    const res = await answered
    expect(await standsStill(() => sent)).toBeLessThan(onTheWay)
    expect(res.headers['content-length']).toBe(String(total))
    const hash = createHash('sha256')
    for await (const chunk of res) hash.update(chunk)
    expect(hash.digest('hex')).toBe(digestOf(total / megabyte))
  })

  test('keep the length that was told, and are in chunks where none was', async () => {
    answer = async (req, res) => {
      await buffer(req)
      res.end(JSON.stringify([req.headers['content-length'] ?? null, req.headers['transfer-encoding'] ?? null]))
    }
    const told = await ask('/', { method: 'PUT', headers: { 'content-length': '3' } }, Buffer.from('abc'))
    expect(JSON.parse(told.body.toString())).toEqual(['3', null])
    const { req, answered } = send('/', { method: 'PUT' })
    req.write('a')
    req.end('b')
    expect(JSON.parse((await buffer(await answered)).toString())).toEqual([null, 'chunked'])
    expect(JSON.parse((await ask('/', { method: 'GET' })).body.toString())).toEqual([null, null])
  })

  test('pass in whatever encoding they are in, both ways', async () => {
    const packed = gzipSync('a text that was packed by the one who sends it')
    let came: Buffer | undefined
    answer = async (req, res) => {
      came = await buffer(req)
      res.writeHead(200, { 'content-encoding': 'gzip', 'x-asked': String(req.headers['accept-encoding']) }).end(packed)
    }
    const headers = { 'content-encoding': 'gzip', 'accept-encoding': 'gzip;q=0.5, x-of-mine' }
    const { headers: answered, body } = await ask('/', { method: 'POST', headers }, packed)
    expect(came).toEqual(packed)
    expect(body).toEqual(packed)
    expect(gunzipSync(body).toString()).toContain('a text')
    expect(answered).toMatchObject({ 'content-encoding': 'gzip', 'x-asked': 'gzip;q=0.5, x-of-mine' })
    // Nothing is asked for that the caller has not asked for.
    expect((await ask('/')).headers['x-asked']).toBe('undefined')
  })

  test('may be answered before they have come', async () => {
    answer = (_, res) => res.writeHead(413).end('too much')
    const { req, answered } = send('/', { method: 'POST', headers: { 'content-length': '1000000' } })
    req.on('error', () => {})
    req.write('a beginning')
    const res = await answered
    expect([res.statusCode, (await buffer(res)).toString()]).toEqual([413, 'too much'])
    req.destroy()
  })
})

describe('answers', () => {
  test('that take their time come after their headers', async () => {
    const { promise: held, resolve: hold } = Promise.withResolvers<ServerResponse>()
    answer = (_, res) => {
      res.writeHead(200, { 'content-type': 'text/plain' }).flushHeaders()
      hold(res)
    }
    const { req, answered } = send('/slow')
    req.end()
    const res = await answered
    expect(res.headers['content-type']).toBe('text/plain')
    const late = await held
    late.end('late')
    expect((await buffer(res)).toString()).toBe('late')
  })

  test.each([200, 202, 204, 205, 304, 400, 401, 418, 451, 500, 503, 599])('%i is passed on', async (status) => {
    answer = (_, res) => res.writeHead(status, { 'x-it': 'is' }).end(status === 204 || status === 304 ? undefined : 'b')
    const { headers, ...got } = await ask('/')
    expect(got.status).toBe(status)
    expect(headers['x-it']).toBe('is')
    expect(got.body.toString()).toBe([204, 205, 304].includes(status) ? '' : 'b')
  })

  test.each([301, 302, 303, 307, 308])('%i is passed on and not followed', async (status) => {
    answer = (_, res) => res.writeHead(status, { location: 'http://169.254.169.254/latest' }).end()
    const before = calls
    const got = await ask('/there')
    expect([got.status, got.headers.location, calls - before]).toEqual([status, 'http://169.254.169.254/latest', 1])
  })

  test('of a number that HTTP does not know, and none at all, say that it cannot be reached', async () => {
    answer = (_, res) => res.writeHead(799).end()
    expect((await ask('/')).status).toBe(502)
    answer = (req) => req.socket.destroy()
    const { status, body } = await ask('/')
    expect([status, JSON.parse(body.toString()).code]).toEqual([502, 'instance_unreachable'])
  })

  test('to HEAD tell the length of what is not sent, and its cookies', async () => {
    answer = (_, res) => res.writeHead(200, { 'content-length': '1234', 'set-cookie': ['a=1', 'b=2'] }).end()
    const { headers, body } = await ask('/', { method: 'HEAD' })
    expect([headers['content-length'], headers['set-cookie']?.length, body.length]).toEqual(['1234', 2, 0])
  })

  test('that are cut are cut for the caller, too', async () => {
    answer = (req, res) => {
      res.write('half of i')
      setImmediate(() => req.socket.destroy())
    }
    const { req, answered } = send('/')
    req.end()
    await expect(answered.then(buffer)).rejects.toThrow()
  })
})

describe('headers', () => {
  test('of one connection stay on it, also those that Connection names', async () => {
    let seen: IncomingMessage['headers'] = {}
    answer = (req, res) => {
      seen = req.headers
      res.writeHead(200, {
        ...{ connection: 'close, x-named', 'x-named': '1', 'keep-alive': 'timeout=1', 'proxy-authenticate': 'Basic' },
        ...{ 'x-kept': '1', 'strict-transport-security': 'max-age=1', 'clear-site-data': '"*"', 'x-request-id': 'its' },
      })
      res.end()
    }
    const { headers } = await ask('/', {
      headers: {
        ...{ connection: 'keep-alive, X-Named', 'x-named': '1', te: 'trailers', 'proxy-authorization': 'Basic eDp5' },
        ...{ expect: '100-continue', 'x-kept': ['1', '2'] },
      },
    })
    for (const name of ['x-named', 'te', 'proxy-authorization', 'expect']) expect(seen[name]).toBeUndefined()
    expect(seen['x-kept']).toBe('1, 2')
    for (const name of ['x-named', 'proxy-authenticate', 'strict-transport-security', 'clear-site-data']) {
      expect(headers[name]).toBeUndefined()
    }
    expect(headers['x-kept']).toBe('1')
    expect(headers['x-request-id']).not.toBe('its')
  })

  test('with a cookie come to the machine that set it alone, and none of the gateway’s passes', async () => {
    let seen: string | undefined
    answer = (req, res) => {
      seen = req.headers.cookie
      const cookies = [
        'a=1; Path=/app; Domain=example.com; HttpOnly',
        'b=2; Max-Age=5',
        '__Host-gpuproxy_session=x; Path=/',
      ]
      res.writeHead(200, { 'set-cookie': cookies }).end()
    }
    const { headers } = await ask('/', { headers: { cookie: 'a=1; __Host-gpuproxy_session=canary; b="2"' } })
    expect(seen).toBe('a=1; b="2"')
    const route = new URL(machine.url('')).pathname
    expect(headers['set-cookie']).toEqual([`a=1; HttpOnly; Path=${route}/app`, `b=2; Max-Age=5; Path=${route}/`])
  })
})

describe('who leaves', () => {
  test.each(['GET', 'POST'])('ends his %s at the machine', async (method) => {
    const { promise: gone, resolve } = Promise.withResolvers<void>()
    const { promise: came, resolve: onCame } = Promise.withResolvers<void>()
    answer = (req, res) => {
      onCame()
      req.resume().on('error', () => {})
      res.on('close', resolve)
      if (method === 'GET') res.write('a beginning')
    }
    const { req } = send('/long', { method, headers: method === 'POST' ? { 'content-length': '1000' } : {} })
    req.on('error', () => {})
    if (method === 'POST') req.write('some')
    else req.end()
    await came
    req.destroy()
    await gone
  })

  test('the rental: what is open to its machine is cut, and nothing more is sent there', async () => {
    answer = (req, res) => (req.url === '/long' ? res.write('a beginning') : res.end())
    const { req, answered } = send('/long')
    req.end()
    const res = await answered
    machine.change({ state: 'ending' })
    await expect(buffer(res)).rejects.toThrow()
    // What is known of it may be two seconds old.
    await eventually(
      () => ask('/'),
      ({ status }) => status === 409,
    )
    const before = calls
    expect((await ask('/')).status).toBe(409)
    expect(calls).toBe(before)
    machine.change({ state: 'running' })
  })
})
