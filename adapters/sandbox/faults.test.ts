import { once } from 'node:events'
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { createGunzip } from 'node:zlib'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Fault, type Sandbox, type SandboxServer, startSandbox } from './sandbox.ts'

/** Waits end at once, and are kept to be looked at; while `held`, they end at `release()`. */
const clock = {
  held: false,
  waits: [] as number[],
  timers: new Set<() => void>(),
  now: () => performance.now(),
  wallNow: () => 1_800_000_000_000,
  setTimer(ms: number, fn: () => void) {
    const fire = () => {
      if (clock.timers.delete(fire)) fn()
    }
    clock.waits.push(ms)
    clock.timers.add(fire)
    if (!clock.held) setImmediate(fire)
    return () => clock.timers.delete(fire)
  },
  release() {
    clock.held = false
    for (const fire of clock.timers) fire()
  },
}

let roll = 0
let sandbox: Sandbox
let openai: SandboxServer
let vastai: SandboxServer

beforeAll(async () => {
  sandbox = await startSandbox({ clock, random: () => roll, wordIntervalMs: 0 })
  openai = sandbox.openai as SandboxServer
  vastai = sandbox.vastai as SandboxServer
})
beforeEach(() => {
  clock.held = false
  clock.waits.length = 0
})
afterEach(() => openai.setFaults([]))
afterAll(() => sandbox.close())

interface Seen {
  status?: number
  headers: IncomingHttpHeaders
  bytes: Buffer
  /** The body as text. */
  text: string
  /** How the connection failed, if it did. */
  error?: string
}

const question = { model: 'gpt-4o', messages: [{ role: 'user', content: 'hi' }], max_tokens: 4 }
const streamed = { ...question, stream: true }

/** One call on a connection of its own, told as its client saw it. */
function call(
  body: object = question,
  options: { agent?: Agent | false; onData?: (text: string) => void } = {},
): Promise<Seen> {
  return new Promise((resolve) => {
    const { agent = false, onData } = options
    const seen: Seen = { headers: {}, bytes: Buffer.alloc(0), text: '' }
    const end = (error?: Error & { code?: string }) =>
      resolve({ ...seen, text: seen.bytes.toString(), ...(error && { error: error.message }) })
    const req = request(`${openai.baseUrl}/chat/completions`, { method: 'POST', agent }, (res: IncomingMessage) => {
      seen.headers = res.headers
      if (res.statusCode !== undefined) seen.status = res.statusCode
      res.on('data', (chunk: Buffer) => {
        seen.bytes = Buffer.concat([seen.bytes, chunk])
        onData?.(chunk.toString())
      })
      res.on('end', () => end())
      res.on('error', end)
    })
    req.on('error', end)
    req.end(JSON.stringify(body))
  })
}

/** The bytes on the wire, and whether the connection ended (`undefined`) or was reset (`ECONNRESET`). */
async function wire(body: object): Promise<{ text: string; error?: string }> {
  const socket = connect(Number(new URL(openai.baseUrl).port), '127.0.0.1')
  let [text, error] = ['', undefined as string | undefined]
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.on('error', (failure: Error & { code?: string }) => {
    error = failure.code
  })
  const payload = JSON.stringify(body)
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${Buffer.byteLength(payload)}\r\n\r\n`
  socket.write(head + payload)
  await new Promise((resolve) => socket.once('close', resolve))
  return { text, ...(error && { error }) }
}

const meet = (fault: Fault, body?: object) => {
  openai.setFaults([fault])
  return call(body)
}

/** What a stream said, token by token. */
const words = ({ text }: { text: string }) =>
  [...text.matchAll(/"content":"( ?w\d+)"/g)].map((match) => match[1]).join('')

describe('instead of the answer', () => {
  it('status: the error of the vendor, with headers and Retry-After', async () => {
    const { status, headers, text } = await meet({
      kind: 'status',
      status: 429,
      retryAfter: 7,
      headers: { 'x-why': 'test' },
    })
    expect(status).toBe(429)
    expect(headers).toMatchObject({ 'retry-after': '7', 'x-why': 'test', 'content-type': 'application/json' })
    expect(JSON.parse(text).error).toMatchObject({ type: 'requests', code: 'rate_limit_exceeded' })
  })

  it('status: tells a spent quota from a rate limit, and takes any body', async () => {
    const quota = await meet({ kind: 'status', status: 429, code: 'insufficient_quota' })
    expect(JSON.parse(quota.text).error.code).toBe('insufficient_quota')
    expect((await meet({ kind: 'status', status: 503, body: { any: 1 } })).text).toBe('{"any":1}')
    expect((await meet({ kind: 'status', status: 503, body: 'text' })).text).toBe('text')
  })

  it('status: speaks as each vendor does', async () => {
    vastai.setFaults([{ kind: 'status', status: 429, times: 1 }])
    const vast = await fetch(`${vastai.baseUrl}/api/v0/users/current/`)
    expect([vast.status, vast.headers.get('retry-after')]).toEqual([429, null])
    expect(await vast.text()).toMatch(/^API requests too frequent/)
    sandbox.ionet?.setFaults([{ kind: 'status', status: 503, times: 1 }])
    const ionet = await fetch(`${sandbox.ionet?.baseUrl}/v1/io-cloud/caas/hardware`)
    expect(await ionet.json()).toEqual({ detail: 'Service Unavailable' })
  })

  it('reset: an RST before any header', async () => {
    expect(await meet({ kind: 'reset' })).toMatchObject({ error: 'read ECONNRESET', text: '' })
    expect(await wire(question)).toEqual({ text: '', error: 'ECONNRESET' })
    expect(openai.calls.at(-1)).not.toHaveProperty('closedAt')
  })

  it('hang: accepts, never answers, and knows when the caller gave up', async () => {
    openai.setFaults([{ kind: 'hang' }])
    const before = openai.calls.length
    const req = request(`${openai.baseUrl}/models`, { agent: false })
    req.on('error', () => {})
    req.end()
    await expect.poll(() => openai.calls.length).toBe(before + 1)
    req.destroy()
    await expect.poll(() => openai.calls.at(-1)?.closedAt).toBeGreaterThan(0)
  })

  it('error_200: the error under a 200, as the body or as the only event', async () => {
    const whole = await meet({ kind: 'error_200' })
    expect([whole.status, JSON.parse(whole.text).error.type]).toEqual([200, 'server_error'])
    const stream = await meet({ kind: 'error_200' }, streamed)
    expect([stream.status, stream.headers['content-type']]).toEqual([200, 'text/event-stream; charset=utf-8'])
    expect(stream.text).toMatch(/^data: {"error":{.*}}\n\ndata: \[DONE\]\n\n$/)
  })

  it('html_502, empty_204, not_json, redirect', async () => {
    const page = await meet({ kind: 'html_502' })
    expect([page.status, page.headers['content-type']]).toEqual([502, 'text/html'])
    expect(page.text).toContain('<h1>502 Bad Gateway</h1>')
    const empty = await meet({ kind: 'empty_204' })
    expect([empty.status, empty.text, empty.headers['content-length']]).toEqual([204, '', undefined])
    const text = await meet({ kind: 'not_json' })
    expect([text.status, text.text]).toEqual([200, 'upstream is warming up'])
    const elsewhere = await meet({ kind: 'redirect', location: 'http://203.0.113.1/' })
    expect([elsewhere.status, elsewhere.headers.location]).toEqual([307, 'http://203.0.113.1/'])
  })

  it('huge_body: valid JSON of exactly the size', async () => {
    const { bytes, text } = await meet({ kind: 'huge_body', bytes: 3_000_001 })
    expect(bytes.length).toBe(3_000_001)
    expect(JSON.parse(text).data[0]).toBe('x')
  })

  it('huge_body: waits for a caller that does not read', async () => {
    openai.setFaults([{ kind: 'huge_body', bytes: 1024 ** 4 }])
    const req = request(`${openai.baseUrl}/models`, { agent: false }).end()
    const [res] = (await once(req, 'response')) as [IncomingMessage]
    expect(openai.calls.at(-1)).not.toHaveProperty('closedAt')
    res.on('error', () => {})
    res.destroy()
    await expect.poll(() => openai.calls.at(-1)?.closedAt).toBeGreaterThan(0)
  })

  it('gzip_bomb: small on the wire, exactly the size when decoded', async () => {
    const { headers, bytes } = await meet({ kind: 'gzip_bomb', decodedBytes: 20_000_000 })
    expect(headers['content-encoding']).toBe('gzip')
    expect(bytes.length).toBeLessThan(60_000)
    const gunzip = createGunzip()
    gunzip.end(bytes)
    let decoded = 0
    for await (const chunk of gunzip) decoded += (chunk as Buffer).length
    expect(decoded).toBe(20_000_000)
  })
})

describe('around the answer', () => {
  it('slow_headers: nothing until the wait is over', async () => {
    const { status } = await meet({ kind: 'slow_headers', ms: 30_000 })
    expect([status, clock.waits]).toEqual([200, [30_000]])
  })

  it('slow_headers: a caller that leaves cancels the wait', async () => {
    clock.held = true
    openai.setFaults([{ kind: 'slow_headers', ms: 30_000 }])
    const req = request(`${openai.baseUrl}/models`, { agent: false })
    req.on('error', () => {})
    req.end()
    await expect.poll(() => clock.timers.size).toBe(1)
    req.destroy()
    await expect.poll(() => clock.timers.size).toBe(0)
  })

  it('slow_first_token: a stream has its headers at once, a whole answer comes late', async () => {
    clock.held = true
    openai.setFaults([{ kind: 'slow_first_token', ms: 12_000 }])
    const body = JSON.stringify(streamed)
    const req = request(`${openai.baseUrl}/chat/completions`, { method: 'POST', agent: false }).end(body)
    const [res] = (await once(req, 'response')) as [IncomingMessage]
    expect([res.statusCode, clock.waits]).toEqual([200, [12_000]])
    const first = once(res, 'data')
    clock.release()
    expect(String(await first)).toContain('"role":"assistant"')
    clock.waits.length = 0
    await call()
    expect(clock.waits).toEqual([12_000])
    res.destroy()
  })

  it('gzip_flag_without_gzip: says gzip, is plain', async () => {
    const { headers, text } = await meet({ kind: 'gzip_flag_without_gzip' })
    expect(headers['content-encoding']).toBe('gzip')
    expect(JSON.parse(text).object).toBe('chat.completion')
  })

  it('big_headers: more than a client holds, or just a lot', async () => {
    expect((await meet({ kind: 'big_headers', bytes: 8_000 })).headers['x-padding']).toHaveLength(8_000)
    expect((await meet({ kind: 'big_headers', bytes: 100_000 })).error).toContain('Header overflow')
  })

  it('short_length: the body ends before its declared length', async () => {
    expect(await meet({ kind: 'short_length' })).toMatchObject({ status: 200, error: 'aborted' })
    const { text, error } = await wire(question)
    const [head = '', body = ''] = text.split('\r\n\r\n')
    expect(Number(/content-length: (\d+)/.exec(head)?.[1])).toBe(body.length + 16)
    expect(error).toBeUndefined()
  })

  it('long_length: the declared length cuts the body, and the rest poisons the connection', async () => {
    openai.setFaults([{ kind: 'long_length', times: 1 }])
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const { status, text } = await call(question, { agent })
    expect(status).toBe(200)
    expect(() => JSON.parse(text)).toThrow()
    expect(JSON.parse((await call(question, { agent })).text).object).toBe('chat.completion')
    agent.destroy()
    const [head = '', body = ''] = (await wireLong()).split('\r\n\r\n')
    expect(Number(/content-length: (\d+)/.exec(head)?.[1])).toBe(body.length - 16)
  })

  /** The raw answer: the connection stays open, so the client decides when it has seen enough. */
  async function wireLong(): Promise<string> {
    openai.setFaults([{ kind: 'long_length' }])
    const socket = connect(Number(new URL(openai.baseUrl).port), '127.0.0.1')
    socket.write('GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n')
    let text = ''
    for await (const chunk of socket) {
      text += chunk
      if (text.endsWith('}]}')) break
    }
    return text
  }
})

describe('within the answer', () => {
  it('cut: an RST after the tokens, with everything before it delivered', async () => {
    openai.setFaults([{ kind: 'cut', afterTokens: 2 }])
    const { text, error } = await wire(streamed)
    expect([words({ text }), error]).toEqual(['w1 w2', 'ECONNRESET'])
    expect(text).not.toContain('finish_reason":"')
    expect(await call(streamed)).toMatchObject({ status: 200, error: 'read ECONNRESET' })
    expect(openai.calls.at(-1)).not.toHaveProperty('closedAt')
  })

  it('cut: before the first token the role is out, after the last the finish reason is not', async () => {
    const none = await meet({ kind: 'cut', afterTokens: 0 }, streamed)
    expect([words(none), none.text.includes('"role"'), none.error]).toEqual(['', true, 'read ECONNRESET'])
    const all = await meet({ kind: 'cut', afterTokens: 4 }, streamed)
    expect([words(all), all.text.includes('"length"'), all.error]).toEqual(['w1 w2 w3 w4', false, 'read ECONNRESET'])
  })

  it('cut: goes through the words of a body that is not streamed', async () => {
    const { text, error } = await meet({ kind: 'cut', afterTokens: 2 })
    expect(text.endsWith('"content":"w1 w2')).toBe(true)
    expect(error).toBe('read ECONNRESET')
    vastai.setFaults([{ kind: 'cut', afterTokens: 1, times: 1 }])
    const offers = await fetch(`${vastai.baseUrl}/api/v0/bundles/`, { method: 'POST' })
    await expect(offers.text()).rejects.toThrow()
  })

  it('clean_cut: ends as if all were well, without finish reason, usage or [DONE]', async () => {
    const stream = await meet(
      { kind: 'clean_cut', afterTokens: 3 },
      { ...streamed, stream_options: { include_usage: true } },
    )
    expect([words(stream), stream.error]).toEqual(['w1 w2 w3', undefined])
    expect(stream.text).not.toMatch(/DONE|"length"|total_tokens/)
    const whole = await meet({ kind: 'clean_cut', afterTokens: 3 })
    expect([whole.text.endsWith('w1 w2 w3'), whole.error]).toEqual([true, undefined])
  })

  it('stall: silence after the tokens, then the rest', async () => {
    clock.held = true
    openai.setFaults([{ kind: 'stall', afterTokens: 2, ms: 60_000 }])
    let soFar = ''
    const answer = call(streamed, { onData: (text) => (soFar += text) })
    await expect.poll(() => words({ text: soFar })).toBe('w1 w2')
    expect(clock.waits).toEqual([60_000])
    clock.release()
    const { text } = await answer
    expect(words({ text })).toBe('w1 w2 w3 w4')
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
  })

  it('malformed_event: one token is broken, the others are whole', async () => {
    const { text } = await meet({ kind: 'malformed_event', atToken: 2 }, streamed)
    const events = text.split('\n\n').slice(0, -2)
    const broken = events.filter((event) => {
      try {
        return !JSON.parse(event.slice(6))
      } catch {
        return true
      }
    })
    expect([events.length, broken.length]).toEqual([6, 1])
    expect(words({ text })).toBe('w1 w3 w4')
    const whole = await meet({ kind: 'malformed_event', atToken: 2 })
    expect(() => JSON.parse(whole.text)).toThrow()
  })

  it('no_done: everything but the [DONE]', async () => {
    const { text, error } = await meet({ kind: 'no_done' }, streamed)
    expect([words({ text }), text.includes('"length"'), text.includes('DONE'), error]).toEqual([
      'w1 w2 w3 w4',
      true,
      false,
      undefined,
    ])
  })

  it('slow_drip: the same bytes, at the rate', async () => {
    const { text } = await meet({ kind: 'slow_drip', bytesPerSecond: 1_000 })
    expect(JSON.parse(text).choices[0].message.content).toBe('w1 w2 w3 w4')
    const total = clock.waits.reduce((sum, ms) => sum + ms, 0)
    expect(total).toBeCloseTo(Buffer.byteLength(text), 6)
    expect(Math.max(...clock.waits)).toBeLessThanOrEqual(20)
  })

  it('bad_utf8: a string that is none, in a stream and in a body', async () => {
    for (const body of [question, streamed]) {
      const { bytes } = await meet({ kind: 'bad_utf8' }, body)
      expect(() => new TextDecoder('utf-8', { fatal: true }).decode(bytes)).toThrow()
      expect(bytes.includes(Buffer.from([...Buffer.from('"content":"'), 0xff]))).toBe(true)
    }
  })
})

describe('which calls a fault meets', () => {
  const statuses = async (...bodies: object[]) => {
    const seen: (number | undefined)[] = []
    for (const body of bodies) seen.push((await call(body)).status)
    return seen
  }

  it('times: the first so many, then the next fault, then none', async () => {
    openai.setFaults([
      { kind: 'status', status: 500, times: 2 },
      { kind: 'status', status: 503, times: 1 },
    ])
    expect(await statuses(question, question, question, question)).toEqual([500, 500, 503, 200])
  })

  it('match: by model, path and method, the first that matches', async () => {
    openai.setFaults([
      { kind: 'status', status: 500, match: { model: 'gpt-4o' } },
      { kind: 'status', status: 502, match: { path: '/completions', method: 'GET' } },
      { kind: 'status', status: 503, match: { path: '/completions' } },
    ])
    expect(await statuses(question, { ...question, model: 'other' })).toEqual([500, 503])
    expect((await fetch(`${openai.baseUrl}/models`)).status).toBe(200)
  })

  it('probability: by the die that was handed in', async () => {
    openai.setFaults([{ kind: 'status', status: 500, probability: 0.5, times: 1 }])
    roll = 0.5
    expect(await statuses(question)).toEqual([200])
    roll = 0.4999
    expect(await statuses(question, question)).toEqual([500, 200])
    roll = 0
  })
})

describe('the server', () => {
  it('remembers calls as they were sent', async () => {
    await fetch(`${openai.baseUrl}/models?page=2`, { headers: { authorization: 'Bearer x' } })
    expect(openai.calls.at(-1)).toMatchObject({
      method: 'GET',
      path: '/v1/models?page=2',
      headers: { authorization: 'Bearer x' },
      body: undefined,
    })
    await call(question)
    expect(openai.calls.at(-1)).toMatchObject({
      method: 'POST',
      model: 'gpt-4o',
      body: question,
      at: expect.any(Number),
    })
    await fetch(`${openai.baseUrl}/chat/completions`, { method: 'POST', body: 'not json' })
    expect(openai.calls.at(-1)?.body).toBe('not json')
  })

  it('forgets the oldest bodies before they fill the memory', async () => {
    const one = await startSandbox({ clock, random: () => 0, servers: ['ionet'] })
    const body = 'x'.repeat(20 * 1024 * 1024)
    for (let i = 0; i < 4; i++) await (await fetch(`${one.ionet?.baseUrl}/${i}`, { method: 'POST', body })).text()
    expect(one.ionet?.calls.map((each) => each.path)).toEqual(['/1', '/2', '/3'])
    const refused = await fetch(`${one.ionet?.baseUrl}/`, { method: 'POST', body: body + body })
    expect([refused.status, await refused.json()]).toEqual([413, { detail: 'Request Entity Too Large' }])
    await one.close()
  })

  it('goes down, refusing connections, and comes back on the same port', async () => {
    openai.setFaults([{ kind: 'hang', times: 1 }])
    const before = openai.calls.length
    const hanging = call()
    await expect.poll(() => openai.calls.length).toBe(before + 1)
    await openai.goDown()
    expect((await hanging).error).toBe('read ECONNRESET')
    expect(openai.openConnections()).toBe(0)
    expect((await call()).error).toContain('ECONNREFUSED')
    await openai.comeBack()
    expect((await call()).status).toBe(200)
  })

  it('counts its open connections and resets them when it closes', async () => {
    const one = await startSandbox({ clock, random: () => 0, servers: ['ionet'] })
    const server = one.ionet as SandboxServer
    const sockets = [1, 2].map(() => connect(Number(new URL(server.baseUrl).port), '127.0.0.1'))
    await expect.poll(() => server.openConnections()).toBe(2)
    sockets[0]?.destroy()
    await expect.poll(() => server.openConnections()).toBe(1)
    const failure = once(sockets[1]!, 'error').catch((error) => [error])
    await one.close()
    expect((await failure)[0]).toMatchObject({ code: 'ECONNRESET' })
    expect(server.openConnections()).toBe(0)
  })

  it('keeps the last 10,000 calls', async () => {
    const one = await startSandbox({ clock, random: () => 0, servers: ['ionet'] })
    const server = one.ionet as SandboxServer
    const socket = connect(Number(new URL(server.baseUrl).port), '127.0.0.1')
    socket.on('error', () => {}).resume()
    for (let i = 0; i <= 10_000; i++) socket.write(`GET /${i} HTTP/1.1\r\nhost: x\r\n\r\n`)
    await expect.poll(() => server.calls.at(-1)?.path, { timeout: 10_000 }).toBe('/10000')
    expect([server.calls.length, server.calls[0]?.path]).toEqual([10_000, '/1'])
    await one.close()
  })
})
