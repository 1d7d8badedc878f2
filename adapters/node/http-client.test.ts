import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { HttpCall, HttpFailure } from '../../src/ports.ts'
import { batchMsAt, createTurnBudget } from './batching.ts'
import { createHttpClient } from './http-client.ts'

const closings: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closings.splice(0)) await close()
})

/** Of this process's loop, on which both ends of the connection live: what was written has arrived after them. */
const turns = async () => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** A stream whose other end is at hand. */
async function stream(batchMs: () => number) {
  const { promise, resolve } = Promise.withResolvers<ServerResponse>()
  const server = createServer((_, response) => resolve(response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const http = createHttpClient({ connectTimeoutMs: 1_000, batchMs })
  closings.push(() => server.close(), http.close)
  const leave = new AbortController()
  const call: HttpCall = {
    method: 'GET',
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    path: '/',
    headers: {},
    signal: leave.signal,
    headersTimeoutMs: 0,
    idleTimeoutMs: 0,
    maxBytes: Infinity,
  }
  const replied = http.stream(call)
  const provider = await promise
  provider.write('first ')
  const iterator = (await replied).body[Symbol.asyncIterator]()
  const read = async () => {
    const { value, done } = await iterator.next()
    return done ? 'end' : Buffer.from(value).toString()
  }
  const say = async (text: string) => {
    provider.write(text)
    await turns()
  }
  return { provider, iterator, read, say, leave }
}

const forever = () => 60_000

describe('a stream of the HTTP client', () => {
  it('goes on as it comes where nothing is to be gathered', async () => {
    const { read, say } = await stream(() => 0)
    expect(await read()).toBe('first ')
    for (const text of ['one ', 'two ', 'three ']) {
      const next = read()
      await say(text)
      expect(await next).toBe(text)
    }
  })

  it('is gathered after its first bytes, which never wait', async () => {
    let batchMs = 60_000
    const { read, say, provider } = await stream(() => batchMs)
    expect(await read()).toBe('first ')
    let arrived: string | undefined
    const next = read().then((text) => {
      arrived = text
    })
    await say('one ')
    await say('two ')
    expect(arrived).toBe(undefined)
    provider.end('three')
    await next
    expect(arrived).toBe('one two three')
    batchMs = 0
    expect(await read()).toBe('end')
  })

  it('goes on when it was gathered long enough', async () => {
    const { read, say } = await stream(() => 2)
    expect(await read()).toBe('first ')
    const next = read()
    await say('one ')
    expect(await next).toMatch(/^one /)
  })

  it('that breaks off gives what was gathered before it fails', async () => {
    const { read, say, provider } = await stream(forever)
    await read()
    const next = read()
    await say('one ')
    provider.destroy()
    expect(await next).toBe('one ')
    await expect(read()).rejects.toMatchObject({ name: 'HttpFailure', kind: 'cut' })
  })

  it('whose caller leaves gives nothing more', async () => {
    const { read, say, leave } = await stream(forever)
    await read()
    const next = read()
    await say('one ')
    leave.abort(new Error('left'))
    await expect(next).rejects.toThrow('left')
  })

  it('that says much does not wait, and is not read ahead of its reader', async () => {
    const { read, provider } = await stream(forever)
    await read()
    const next = read()
    const text = 'x'.repeat(8 * 1024 * 1024)
    const taken = new Promise((resolve) => provider.write(text, resolve))
    let seen = (await next).length
    await turns()
    expect(provider.writableLength, 'the sender is held back').toBeGreaterThan(0)
    provider.end()
    for (let chunk = await read(); chunk !== 'end'; chunk = await read()) seen += chunk.length
    await taken
    expect(seen).toBe(text.length)
  })
})

describe('what is gathered', () => {
  it.each([
    [0, 0],
    [0.8, 0],
    [0.9, 20],
    [1, 40],
  ])('of a loop that is busy for %d of its time is %i ms', (utilisation, ms) => {
    expect(batchMsAt(utilisation)).toBeCloseTo(ms)
  })

  it('goes on for so long in one turn of the loop, and in the next again', () => {
    let now = 0
    const turnEnds: (() => void)[] = []
    const hasTime = createTurnBudget({ maxMs: 15, now: () => now, onNextTurn: (fn) => turnEnds.push(fn) })
    const seen = [0, 5, 14, 15, 80].map((ms) => {
      now = ms
      return hasTime()
    })
    expect(seen).toEqual([true, true, true, false, false])
    turnEnds.pop()!()
    expect(hasTime()).toBe(true)
    now += 15
    expect(hasTime()).toBe(false)
  })
})

it('connections to origins that are idle are closed where there are too many origins', async () => {
  const servers = await Promise.all(
    [0, 1, 2].map(async () => {
      const closed = Promise.withResolvers<void>()
      const server = createServer((_, res) => res.end('x')).on('connection', (socket) =>
        socket.once('close', closed.resolve),
      )
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return { server, closed: closed.promise, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
    }),
  )
  const client = createHttpClient({ connectTimeoutMs: 1_000, maxPools: 2 })
  const rest = { headers: {}, headersTimeoutMs: 0, idleTimeoutMs: 0, maxBytes: 10 }
  for (const { origin } of servers) {
    await client.bytes({ ...rest, method: 'GET', origin, path: '/', signal: new AbortController().signal })
  }
  // The first one's: with the others there is still a connection.
  await servers[0]!.closed
  await client.close()
  for (const { server } of servers) server.close()
})

describe('what the client has had enough of', () => {
  /** The kind of failure of a call that is answered so. */
  async function kindOf(answer: (response: ServerResponse) => void, maxBytes = 1_000) {
    const server = createServer((_, response) => answer(response)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const http = createHttpClient({ connectTimeoutMs: 1_000 })
    closings.push(() => server.close(), http.close)
    const call = http.bytes({
      method: 'GET',
      origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      path: '/',
      headers: {},
      signal: new AbortController().signal,
      headersTimeoutMs: 0,
      idleTimeoutMs: 0,
      maxBytes,
    })
    return call.then(
      () => 'answered',
      (failure: HttpFailure) => failure.kind,
    )
  }

  it('is too large, and not a connection that broke', async () => {
    expect(await kindOf((response) => response.end('x'.repeat(1_000)))).toBe('answered')
    expect(await kindOf((response) => response.end('x'.repeat(1_001)))).toBe('too_large')
    expect(await kindOf((response) => response.write('x'.repeat(100_000)))).toBe('too_large')
  })

  it('is no answer: hints of one without end', async () => {
    const hint = (response: ServerResponse) => {
      for (let i = 0; i < 1_100; i++) response.writeEarlyHints({ link: '</a>; rel=preload' })
    }
    expect(await kindOf(hint)).toBe('malformed')
  })
})
