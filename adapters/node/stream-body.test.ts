import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { afterEach, describe, expect, test } from 'vitest'
import type { Gateway } from '../../src/gateway.ts'
import { readBody } from './read-body.ts'
import { reply } from './reply.ts'
import { type NodeServer, startServer } from './server.ts'
import { streamBody } from './stream-body.ts'

let server: NodeServer
afterEach(() => server.drain({ delayMs: 0, timeoutMs: 0 }))

const maxWholeBytes = 50_000_000

/** A gateway that takes bodies in whole at `/whole`, and as they come elsewhere. */
async function start({ requestTimeoutMs = 30_000, idleMs = 30_000 } = {}) {
  const took: string[] = []
  const answer: Gateway['fetch'] = async (req, bindings) => {
    if (req.url.endsWith('/whole')) {
      await readBody(req, bindings, maxWholeBytes).catch(() => {})
      return reply(200, {}, 'whole')
    }
    const body = streamBody(req, bindings, { idleMs })
    if (!body) return reply(200, {}, 'none')
    try {
      for await (const chunk of body) took.push(Buffer.from(chunk).toString())
      return reply(200, {}, took.join(''))
    } catch (error) {
      return reply(408, {}, (error as { code: string }).code)
    }
  }
  const gateway = {
    fetch: answer,
    turnAway() {},
    beginDrain() {},
    stopStreams() {},
    inFlight: () => 0,
  } as unknown as Gateway
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  server = await startServer({ gateway, host: '127.0.0.1', port: 0, log, requestTimeoutMs })
  return took
}

function post(path: string, headers = {}) {
  const req = request(server.url + path, { method: 'POST', headers })
  req.on('error', () => {})
  const answered = once(req, 'response').then(async ([res]) => ({
    status: (res as IncomingMessage).statusCode,
    text: (await buffer(res as IncomingMessage)).toString(),
  }))
  return { req, answered }
}

test('a request without a body has none, and one of no length neither', async () => {
  await start()
  for (const headers of [{ 'content-length': '0' }, {}]) {
    const { req, answered } = post('/', headers)
    if (headers['content-length'] === undefined) req.setHeader('content-length', 0)
    req.end()
    expect(await answered).toEqual({ status: 200, text: 'none' })
  }
})

test('a body may take longer than a request is given, where it is handed on as it comes', async () => {
  const took = await start({ requestTimeoutMs: 150 })
  const handed = post('/')
  handed.req.write('one ')
  await expect.poll(() => took.length).toBe(1)
  // Came later, and is over its time: so is the other.
  const whole = post('/whole', { 'content-length': '3' })
  whole.req.write('a')
  expect((await whole.answered).status).toBe(408)
  handed.req.end('two')
  expect(await handed.answered).toEqual({ status: 200, text: 'one two' })
})

describe('a large body that takes longer than a request is given', () => {
  /** Sends on until so much time has passed or there is an answer. Answers how many bytes. */
  async function sendFor(ms: number, { req, answered }: ReturnType<typeof post>) {
    let isAnswered = false
    void answered.then(() => {
      isAnswered = true
    })
    const until = performance.now() + ms
    let sent = 0
    for (; performance.now() < until && !isAnswered; sent += 200_000) {
      req.write(Buffer.alloc(200_000))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    return sent
  }

  test.each([{ 'content-length': maxWholeBytes }, {}])('is taken as long as it comes steadily: %j', async (headers) => {
    await start({ requestTimeoutMs: 1_000 })
    const sending = post('/whole', headers)
    const sent = await sendFor(2_500, sending)
    sending.req.end(Buffer.alloc(maxWholeBytes - sent))
    expect(await sending.answered).toEqual({ status: 200, text: 'whole' })
  })

  test('is cut when it stops coming', async () => {
    await start({ requestTimeoutMs: 1_000 })
    const sending = post('/whole', { 'content-length': maxWholeBytes })
    await sendFor(1_500, sending)
    expect((await sending.answered).status).toBe(408)
  })
})

test('a sender who falls silent is told so on the connection that is still there', async () => {
  await start({ idleMs: 100 })
  const { req, answered } = post('/', { 'content-length': '10' })
  req.write('a')
  expect(await answered).toEqual({ status: 408, text: 'body_timeout' })
})

test('a sender who leaves ends it', async () => {
  const { promise, resolve } = Promise.withResolvers<unknown>()
  const answer: Gateway['fetch'] = async (req, bindings) => {
    try {
      for await (const _ of streamBody(req, bindings, { idleMs: 30_000 })!) socket.destroy()
    } catch (error) {
      resolve(error)
    }
    return reply(200, {}, '')
  }
  const gateway = {
    fetch: answer,
    turnAway() {},
    beginDrain() {},
    stopStreams() {},
    inFlight: () => 0,
  } as unknown as Gateway
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  server = await startServer({ gateway, host: '127.0.0.1', port: 0, log })
  const { hostname, port } = new URL(server.url)
  const socket = connect(Number(port), hostname)
  socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\na')
  expect(await promise).toMatchObject({ code: 'client_closed' })
})

test('a sender who has sent all of it waits for a machine that takes it slowly', async () => {
  const taken: string[] = []
  const { promise: patience, resolve } = Promise.withResolvers<void>()
  const answer: Gateway['fetch'] = async (req, bindings) => {
    for await (const chunk of streamBody(req, bindings, { idleMs: 30 })!) {
      taken.push(Buffer.from(chunk).toString())
      await patience
    }
    return reply(200, {}, taken.join(''))
  }
  const gateway = {
    fetch: answer,
    turnAway() {},
    beginDrain() {},
    stopStreams() {},
    inFlight: () => 0,
  } as unknown as Gateway
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  server = await startServer({ gateway, host: '127.0.0.1', port: 0, log })
  const { req, answered } = post('/api/v1/gpu/instances/i/proxy/', { 'content-length': '3' })
  req.end('all')
  await expect.poll(() => taken).toEqual(['all'])
  // Several times as long as a sender may be silent.
  setTimeout(resolve, 200)
  expect(await answered).toEqual({ status: 200, text: 'all' })
})

test('a sender who falls silent hears so of an instance, too', async () => {
  await start({ idleMs: 100 })
  const { req, answered } = post('/api/v1/gpu/instances/i/proxy/', { 'content-length': '10' })
  req.write('a')
  expect(await answered).toEqual({ status: 408, text: 'body_timeout' })
})
