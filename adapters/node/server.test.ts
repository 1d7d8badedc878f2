import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import type { Gateway } from '../../src/gateway.ts'
import { reply } from './reply.ts'
import { type NodeServer, startServer } from './server.ts'

let server: NodeServer
afterEach(() => server.drain({ delayMs: 0, timeoutMs: 0 }))

/** Those whose requests are being answered. */
const open = new Set<Socket>()
const connections = () => open.size

async function start(answer: (path: string) => Promise<Response> | Response, readerTimeoutMs = 30_000) {
  const fetch: Gateway['fetch'] = async (req, { incoming }) => {
    const { socket } = incoming as IncomingMessage
    open.add(socket)
    socket.once('close', () => open.delete(socket))
    return answer(new URL(req.url).pathname)
  }
  const gateway = {
    fetch,
    turnAway: () => undefined,
    beginDrain() {},
    stopStreams() {},
    inFlight: () => 0,
  } as unknown as Gateway
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  server = await startServer({ gateway, host: '127.0.0.1', port: 0, log, readerTimeoutMs })
}

function caller() {
  const { hostname, port } = new URL(server.url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {})
  return socket
}
const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`

test('requests that come in one breath are begun one after another, and answered in their order', async () => {
  const begun: { path: string; finish(): void }[] = []
  await start(async (path) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    begun.push({ path, finish: resolve })
    await promise
    return reply(200, {}, `answer to ${path}.`)
  })
  const socket = caller()
  let text = ''
  socket.on('data', (data) => (text += data))
  socket.write(get('/1') + get('/2') + get('/3'))
  for (const path of ['/1', '/2', '/3']) {
    await expect.poll(() => begun.at(-1)?.path).toBe(path)
    // The next is begun when this one has been answered, and not before.
    begun.at(-1)!.finish()
    await expect.poll(() => text).toContain(`answer to ${path}.`)
  }
  expect(begun).toHaveLength(3)
  expect(text.match(/answer to ..\./g)).toEqual(['answer to /1.', 'answer to /2.', 'answer to /3.'])
  socket.destroy()
})

test('of many connections that send in one breath one is begun in a turn of the loop', async () => {
  const many = 20
  let [turn, over] = [0, false]
  const nextTurn = () => {
    turn++
    if (!over) setImmediate(nextTurn)
  }
  const begunIn: number[] = []
  await start((path) => {
    if (path === '/second') begunIn.push(turn)
    return reply(200, {}, 'x')
  })
  const sockets = Array.from({ length: many }, caller)
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  nextTurn()
  for (const socket of sockets) socket.write(get('/first') + get('/second'))
  await expect.poll(() => begunIn.length).toBe(many)
  over = true
  expect(new Set(begunIn).size).toBe(many)
  for (const socket of sockets) socket.destroy()
})

test('nor does a body of no bytes make a difference', async () => {
  const { promise: first, resolve: finish } = Promise.withResolvers<void>()
  const begun: string[] = []
  await start(async (path) => {
    begun.push(path)
    if (path === '/1') await first
    return reply(200, {}, `answer to ${path}.`)
  })
  const socket = caller()
  let text = ''
  socket.on('data', (data) => (text += data))
  const empty = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n`
  socket.write(empty('/1') + empty('/2'))
  await expect.poll(() => begun).toEqual(['/1'])
  finish()
  await expect.poll(() => text.match(/answer to ..\./g)).toEqual(['answer to /1.', 'answer to /2.'])
  expect(begun).toEqual(['/1', '/2'])
  socket.destroy()
})

test('of those who leave, what they had asked for besides is not begun', async () => {
  const begun: string[] = []
  const { promise: never } = Promise.withResolvers<Response>()
  await start((path) => {
    begun.push(path)
    return path === '/last' ? reply(200, {}, 'done') : never
  })
  const leaver = caller()
  leaver.write(get('/1') + get('/2'))
  await expect.poll(() => begun).toEqual(['/1'])
  leaver.destroy()
  await once(leaver, 'close')
  const other = caller()
  other.write(get('/last'))
  await once(other, 'data')
  expect(begun).toEqual(['/1', '/last'])
  other.destroy()
})

test('those that have a body are begun at once: it would stand in the way of the first', async () => {
  const { promise: first, resolve: finish } = Promise.withResolvers<void>()
  const begun: string[] = []
  await start(async (path) => {
    begun.push(path)
    if (path === '/1') await first
    return reply(200, {}, `answer to ${path}.`)
  })
  const socket = caller()
  let text = ''
  socket.on('data', (data) => (text += data))
  socket.write(`${get('/1')}POST /2 HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na`)
  await expect.poll(() => begun).toEqual(['/1', '/2'])
  finish()
  await expect.poll(() => text.match(/answer to ..\./g)).toEqual(['answer to /1.', 'answer to /2.'])
  socket.destroy()
})

test('who sends one after another without an end is cut', async () => {
  const { promise: never } = Promise.withResolvers<Response>()
  let begun = 0
  await start(() => {
    begun++
    return never
  })
  const socket = caller()
  socket.write(get('/').repeat(110))
  await once(socket, 'close')
  expect(begun).toBe(1)
})

test('a request for another protocol in one breath with one that is not answered ends its connection, and no more', async () => {
  await start((path) => reply(200, {}, `answer to ${path}`))
  const socket = caller()
  const upgrade = 'connection: upgrade\r\nupgrade: websocket\r\n'
  socket.write(`${get('/1')}GET /api/v1/gpu/instances/i/proxy/ HTTP/1.1\r\nhost: x\r\n${upgrade}\r\n`)
  await once(socket, 'close')
  expect(await (await fetch(server.url)).text()).toBe('answer to /')
})

test('what cannot be read behind a request says nothing into its answer', async () => {
  const { promise: first, resolve: finish } = Promise.withResolvers<void>()
  async function* pieces() {
    yield 'one'
    await first
    yield 'two'
  }
  await start(() => reply(200, {}, pieces()))
  const socket = caller()
  let text = ''
  socket.on('data', (data) => (text += data))
  socket.write(get('/'))
  await expect.poll(() => text).toContain('one')
  socket.write('this is no request\r\n\r\n')
  await once(socket, 'close')
  finish()
  expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1)
})

test('who hears that his request is none and does not hang up is cut', async () => {
  await start(() => reply(200, {}, ''))
  const { hostname, port } = new URL(server.url)
  const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true })
  socket.on('error', () => {})
  let text = ''
  socket.on('data', (data) => (text += data))
  socket.write('this is no request\r\n\r\n')
  await once(socket, 'end')
  expect(text).toMatch(/^HTTP\/1\.1 400/)
  // Taken until the other side is gone.
  const dripping = setInterval(() => socket.write('a'), 20)
  await new Promise((resolve) => socket.once('close', resolve))
  clearInterval(dripping)
})

test.each([
  ['no Host', 'GET /api/v1/health HTTP/1.1\r\n\r\n', 400],
  ['two of them', 'GET /api/v1/health HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n', 400],
  ['an expectation', 'GET /api/v1/health HTTP/1.1\r\nhost: x\r\nexpect: more\r\n\r\n', 417],
])('%s is refused with an id, in the words of the API', async (_, request, status) => {
  await start(() => reply(200, {}, ''))
  const socket = caller()
  socket.write(request)
  const [data] = await once(socket, 'data')
  const text = String(data)
  expect(text).toMatch(`HTTP/1.1 ${status} `)
  const [, id] = /^x-request-id: (\S+)/im.exec(text) ?? []
  expect(text).toContain('application/problem+json')
  expect(JSON.parse(text.slice(text.indexOf('{')))).toMatchObject({ code: 'invalid_header', request_id: id })
  socket.destroy()
})

test('a stream for somebody who has left before it began is ended all the same', async () => {
  const { promise: leaving, resolve: left } = Promise.withResolvers<void>()
  await start(async () => {
    await leaving
    return reply(200, {}, endless())
  })
  const [before, socket] = [ended, caller()]
  socket.write(get('/'))
  await expect.poll(() => connections()).toBe(1)
  socket.destroy()
  await expect.poll(() => connections()).toBe(0)
  left()
  await expect.poll(() => ended).toBe(before + 1)
})

let ended = 0
async function* endless() {
  try {
    for (;;) yield 'more and more '.repeat(10_000)
  } finally {
    ended++
  }
}

test('a caller who takes nothing is cut: of a stream, and of an answer that is whole', async () => {
  const large = 'x'.repeat(20_000_000)
  await start((path) => reply(200, {}, path === '/whole' ? large : endless()), 100)
  const [before, whole, stream] = [ended, caller(), caller()]
  whole.pause()
  stream.pause()
  whole.write(get('/whole'))
  stream.write(get('/endless'))
  await expect.poll(() => ended, { timeout: 10_000 }).toBe(before + 1)
  // Its end is read behind all that had been sent before.
  let got = 0
  whole.on('data', (data) => (got += data.length))
  whole.resume()
  await once(whole, 'close')
  expect(got).toBeLessThan(large.length)
  stream.destroy()
})

test('who has nothing to take is left alone', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  let looks = 0
  await start(async () => {
    await promise
    return reply(200, {}, 'late')
  }, 20)
  // As many looks as would have cut it.
  const looking = setInterval(() => ++looks === 10 && resolve(), 20)
  const socket = caller()
  socket.write(get('/'))
  const [data] = await once(socket, 'data')
  expect(String(data)).toContain('late')
  clearInterval(looking)
  socket.destroy()
})

describe('a drain', () => {
  const size = 24 * 1024 * 1024
  const large = () => reply(200, {}, 'x'.repeat(size))

  /** What arrives at one who reads no faster than some tens of megabytes a second, from his first piece on. */
  async function slowReader(pauseMs = 2) {
    const socket = caller()
    const reader = { socket, got: 0 }
    socket.write(get('/'))
    const first = once(socket, 'data')
    socket.on('data', (data) => {
      reader.got += data.length
      socket.pause()
      setTimeout(() => socket.resume(), pauseMs)
    })
    await first
    return reader
  }

  test('ends when an answer that was ended has left whole', async () => {
    await start(large)
    const reader = await slowReader()
    const closed = once(reader.socket, 'close')
    await server.drain({ delayMs: 0, timeoutMs: 30_000 })
    await closed
    expect(reader.got).toBeGreaterThan(size)
  })

  test('waits no longer than it may for one who takes nothing', async () => {
    await start(large)
    const { socket } = await slowReader()
    socket.removeAllListeners('data').pause()
    await server.drain({ delayMs: 0, timeoutMs: 100 })
    await expect.poll(connections).toBe(0)
    socket.destroy()
  })

  test('cuts one who takes nothing sooner, whichever socket of the port he came in on', async () => {
    await start(large)
    const sockets = Array.from({ length: 4 }, caller)
    for (const socket of sockets) {
      socket.write(get('/'))
      await once(socket, 'data')
      socket.pause()
    }
    await server.drain({ delayMs: 0, timeoutMs: 3_600_000, readerTimeoutMs: 100 })
    for (const socket of sockets) socket.destroy()
  })

  test('lets one who takes something go on, for many looks at one answer', async () => {
    await start(large)
    const reader = await slowReader(10)
    const closed = once(reader.socket, 'close')
    await server.drain({ delayMs: 0, timeoutMs: 3_600_000, readerTimeoutMs: 800 })
    await closed
    expect(reader.got).toBeGreaterThan(size)
  })

  test('closes what is idle while an answer is still leaving', async () => {
    await start((path) => (path === '/' ? large() : reply(200, {}, 'x')))
    const idle = caller()
    idle.write(get('/small'))
    await once(idle, 'data')
    const reader = await slowReader()
    const closed = once(idle, 'close')
    const drained = server.drain({ delayMs: 0, timeoutMs: 30_000 })
    await closed
    expect(reader.got).toBeLessThan(size)
    await drained
    reader.socket.destroy()
  })
})
