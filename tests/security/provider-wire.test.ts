/**
 * A provider that does not speak HTTP as it should. Its caller hears an error that can be told from an answer, the
 * connection is not used again, and nothing that the provider wrote behind its answer is taken for the next one's.
 */
import type { Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { eventually, readSse, startTestGateway, type TestGateway } from '../support/gateway.ts'
import { type RawServer, startRawServer } from '../support/raw-http.ts'

let provider: RawServer
let gateway: TestGateway
/** What is written for each request, in turn; the last one for all that follow. */
let script: ((socket: Socket) => void)[] = []

beforeEach(async () => {
  let asked = 0
  provider = await startRawServer((socket) => script[Math.min(asked++, script.length - 1)]!(socket))
  gateway = await startTestGateway({
    env: { HEADERS_TIMEOUT: '1s', REQUEST_TIMEOUT: '5s' },
    providers: { openai: { baseUrl: `${provider.url}/v1`, apiKey: 'sk-canary-0123456789' } },
  })
})
afterEach(async () => {
  await gateway.close()
  await provider.close()
})

const content = (text: string) =>
  JSON.stringify({
    id: 'a',
    choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
  })
const whole = (text: string, ...headers: string[]) =>
  [
    'HTTP/1.1 200 OK',
    'content-type: application/json',
    `content-length: ${content(text).length}`,
    ...headers,
    '',
    content(text),
  ].join('\r\n')
const says = (text: string) => (socket: Socket) => void socket.write(Buffer.from(text, 'latin1'))
const sayAndEnd = (text: string) => (socket: Socket) => void socket.end(Buffer.from(text, 'latin1'))
const ask = (stream = false) =>
  gateway.post('/v1/chat/completions', { model: 'm', messages: [{ role: 'user', content: 'hi' }], stream })
const textOf = async (response: Response) =>
  ((await response.json()) as { choices: { message: { content: string } }[] }).choices[0]!.message.content

const body = content('hi')
const head = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n'
const broken: Record<string, string> = {
  'two lengths that differ': `${head}content-length: ${body.length}\r\ncontent-length: 5\r\n\r\n${body}`,
  'a length and chunks': `${head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\n${body.slice(0, 5)}\r\n0\r\n\r\n`,
  'a length that is no number': `${head}content-length: many\r\n\r\n${body}`,
  'a header ended by a bare LF': `${head}x-a: 1\nx-b: 2\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  'a bare CR in a header': `${head}x-a: 1\rset-cookie: a=b\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  'a NUL in a header': `${head}x-a: 1\0\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  'a header without a colon': `${head}split\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  'a chunk size that is no number': `${head}transfer-encoding: chunked\r\n\r\nzz\r\n${body}\r\n0\r\n\r\n`,
  'no status line': `${body}\r\n\r\n`,
  'another protocol': `SSH-2.0-OpenSSH_9.6\r\n\r\n`,
  'a status of four digits': `HTTP/1.1 2000 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  '101 that nobody asked for': `HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n${body}`,
  'headers of 1 MB': `${head}x-a: ${'a'.repeat(1 << 20)}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
}

describe('is a 502 or 503, never an answer:', () => {
  test.each(Object.keys(broken))('%s', async (what) => {
    script = [says(broken[what]!)]
    for (const stream of [false, true]) {
      const before = provider.connections.length
      const response = await ask(stream)
      expect([502, 503]).toContain(response.status)
      expect(await response.text()).not.toContain('"choices"')
      const used = provider.connections.slice(before)
      // Each try went out on a connection of its own.
      expect(used.map((requests) => requests.length)).toEqual(used.map(() => 1))
    }
  })

  test('a length that is longer than what comes', async () => {
    script = [sayAndEnd(`${head}content-length: ${body.length + 1}\r\n\r\n${body}`)]
    const response = await ask()
    expect([502, 503]).toContain(response.status)
  })
})

test('a second answer behind the first is nobody’s', async () => {
  script = [says(whole('one') + whole('SPLIT')), says(whole('two'))]
  expect(await textOf(await ask())).toBe('one')
  for (let i = 0; i < 5; i++) expect(await textOf(await ask())).toBe('two')
  expect(provider.connections[0]!.length).toBe(1)
})

test('an answer that nobody has asked for yet, on a connection that rests, is nobody’s', async () => {
  let resting: Socket | undefined
  script = [
    (socket) => {
      resting = socket
      says(whole('one'))(socket)
    },
    says(whole('two')),
  ]
  expect(await textOf(await ask())).toBe('one')
  resting!.write(whole('SPLIT'))
  await eventually(() => resting!.destroyed)
  expect(await textOf(await ask())).toBe('two')
})

test('a thousand answers of 1xx before the answer are passed over, one more is no answer', async () => {
  const early = 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'
  script = [says(early.repeat(1_000) + whole('one'))]
  expect(await textOf(await ask())).toBe('one')

  script = [says(early.repeat(1_001) + whole('one'))]
  for (const stream of [false, true]) {
    const before = provider.connections.length
    const response = await ask(stream)
    expect([502, 503]).toContain(response.status)
    await response.text()
    await eventually(() => provider.open() === 0)
    expect(provider.connections.length).toBeGreaterThan(before)
  }
  await eventually(async () => (await gateway.metric('http_requests_in_flight')) === 0)
})

test('a header of the provider that is not on our list is not the caller’s', async () => {
  script = [
    says(whole('one', 'set-cookie: session=stolen', 'access-control-allow-origin: *', 'x-canary: a', 'link: </x>')),
  ]
  const response = await ask()
  expect(await textOf(response)).toBe('one')
  for (const name of ['set-cookie', 'access-control-allow-origin', 'x-canary', 'link']) {
    expect(response.headers.has(name), name).toBe(false)
  }
})

test.each([301, 302, 303, 307, 308])(
  'a redirect by %i is not followed, and no key goes where it points',
  async (status) => {
    const other = await startRawServer(says(whole('stolen')))
    try {
      script = [
        says(`HTTP/1.1 ${status} Found\r\nlocation: ${other.url}/v1/chat/completions\r\ncontent-length: 0\r\n\r\n`),
      ]
      for (const stream of [false, true]) {
        const response = await ask(stream)
        expect([502, 503]).toContain(response.status)
        expect(await response.text()).not.toContain(other.url)
      }
      expect(other.connections).toEqual([])
    } finally {
      await other.close()
    }
  },
)

describe('a stream that is poison ends with an error and without [DONE]:', () => {
  const sse = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n'
  const event = (text: string) =>
    `data: ${JSON.stringify({ id: 'a', choices: [{ index: 0, delta: { content: text }, finish_reason: null }] })}\n\n`
  const poisons: Record<string, (socket: Socket) => void> = {
    'a line of 10 MB': sayAndEnd(`${sse}${event('a')}data: ${'a'.repeat(10 << 20)}`),
    'no empty line, ever': sayAndEnd(`${sse}${event('a')}${'data: {}\n'.repeat(1 << 20)}`),
    'JSON that is cut': sayAndEnd(`${sse}${event('a')}data: {"choices":[{"delta":{"content":"b`),
    'bytes that are no UTF-8': sayAndEnd(`${sse}${event('a')}data: {"choices":[{"delta":{"content":"\xff\xfe"}}]}`),
    'a cut within a character': sayAndEnd(`${sse}${event('a')}data: {"choices":[{"delta":{"content":"\xe2\x82`),
    'an end without a reason': sayAndEnd(`${sse}${event('a')}${event('b')}`),
    'a reset': (socket) => {
      says(`${sse}${event('a')}`)(socket)
      void eventually(() => socket.writableLength === 0).then(() => socket.resetAndDestroy())
    },
    'another answer within it': sayAndEnd(`${sse}${event('a')}\r\n\r\n${whole('SPLIT')}`),
  }
  test.each(Object.keys(poisons))('%s', async (what) => {
    script = [poisons[what]!]
    const response = await ask(true)
    if (response.status === 200) {
      const answer = await readSse(response)
      expect(answer.done).toBe(false)
      expect(answer.error).toBeTruthy()
      expect(answer.raw).not.toContain('SPLIT')
    } else {
      expect([502, 503]).toContain(response.status)
      await response.text()
    }
    await eventually(async () => (await gateway.metric('http_requests_in_flight')) === 0)
  })
})
