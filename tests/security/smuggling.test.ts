/**
 * What could be read in two ways by two servers in a row is refused, its connection is closed, and nothing of it
 * reaches the provider: not the request, and not what is hidden in its body.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startTestGateway, type TestGateway, testKey } from '../support/gateway.ts'
import { exchange, type RawServer, startRawServer, statuses } from '../support/raw-http.ts'

let provider: RawServer
let gateway: TestGateway
const answer = JSON.stringify({
  id: 'a',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
})

beforeAll(async () => {
  provider = await startRawServer((socket) => {
    socket.write(
      `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${answer.length}\r\n\r\n${answer}`,
    )
  })
  gateway = await startTestGateway({ providers: { openai: { baseUrl: `${provider.url}/v1`, apiKey: 'sk-x' } } })
})
afterAll(async () => {
  await gateway.close()
  await provider.close()
})
beforeEach(() => provider.forget())

const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'first' }] })
const hidden = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${testKey}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body.replace('first', 'SMUGL')}`
const head = (...lines: string[]) =>
  [
    'POST /v1/chat/completions HTTP/1.1',
    'host: x',
    `authorization: Bearer ${testKey}`,
    'content-type: application/json',
    ...lines,
    '',
    '',
  ].join('\r\n')
const length = `content-length: ${body.length}`
const chunked = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`

const mutations: Record<string, string> = {
  'two lengths that differ': head(length, `content-length: ${body.length + hidden.length}`) + body + hidden,
  'two lengths that are the same': head(length, length) + body + hidden,
  'two lengths in one': head(`content-length: ${body.length}, ${body.length}`) + body + hidden,
  'a length with a sign': head(`content-length: +${body.length}`) + body + hidden,
  'a negative length': head('content-length: -1') + body + hidden,
  'a length in hex': head(`content-length: 0x${body.length.toString(16)}`) + body + hidden,
  'a length with a space within': head('content-length: 1 0') + body + hidden,
  'a length beyond 64 bits': head('content-length: 18446744073709551616') + body + hidden,
  'an empty length': head('content-length: ') + body + hidden,
  'a length and chunks': head(length, 'transfer-encoding: chunked') + chunked + hidden,
  'chunks and a length': head('transfer-encoding: chunked', 'content-length: 0') + chunked + hidden,
  'chunked twice': head('transfer-encoding: chunked, chunked') + chunked + hidden,
  'chunked before another coding': head('transfer-encoding: chunked, identity') + chunked + hidden,
  'a coding nobody knows': head('transfer-encoding: xchunked') + chunked + hidden,
  'chunked in quotes': head('transfer-encoding: "chunked"') + chunked + hidden,
  'chunked behind a vertical tab': head('transfer-encoding: \x0bchunked') + chunked + hidden,
  'chunked on a folded line': head('transfer-encoding:\r\n chunked') + chunked + hidden,
  'a space before the colon': head(`content-length : ${body.length}`) + body + hidden,
  'a tab before the colon': head('transfer-encoding\t: chunked') + chunked + hidden,
  'a folded header': head('x-a: 1\r\n  folded', length) + body + hidden,
  'a NUL in a value': head('x-a: 1\0', length) + body + hidden,
  'a NUL in a name': head('x\0a: 1', length) + body + hidden,
  'a bare CR in a value': head('x-a: 1\rcontent-length: 0', length) + body + hidden,
  'a bare LF as the end of a line': head(`x-a: 1\ncontent-length: 0`, length) + body + hidden,
  'a line without a colon': head('smuggled', length) + body + hidden,
  'a name that is empty': head(': 1', length) + body + hidden,
  'a name with a space': head('x a: 1', length) + body + hidden,
  'a chunk size that is no number': `${head('transfer-encoding: chunked')}zz\r\n${body}\r\n0\r\n\r\n${hidden}`,
  'a chunk size with a sign': `${head('transfer-encoding: chunked')}-1\r\n${body}\r\n0\r\n\r\n${hidden}`,
  'a chunk size with 0x': `${head('transfer-encoding: chunked')}0x${chunked}${hidden}`,
  'a chunk size beyond 64 bits': `${head('transfer-encoding: chunked')}1${'0'.repeat(16)}\r\n${body}\r\n0\r\n\r\n${hidden}`,
  'a chunk that ends without CRLF': head('transfer-encoding: chunked') + chunked.replace(`${body}\r\n`, `${body}XX`),
  'a chunk size ended by a bare LF': head('transfer-encoding: chunked') + chunked.replace('\r\n', '\n') + hidden,
  'HTTP/0.9': `GET /v1/models\r\n\r\n${hidden}`,
  'HTTP/2.0 in the line': `${head(length).replace('HTTP/1.1', 'HTTP/2.0')}${body}${hidden}`,
  'HTTP/1.9 in the line': `${head(length).replace('HTTP/1.1', 'HTTP/1.9')}${body}${hidden}`,
  'a method that is none': head(length).replace('POST', 'PO ST') + body + hidden,
  'a space in the target': head(length).replace('/v1/chat', '/v1/ chat') + body + hidden,
  'a tab in the target': head(length).replace('/v1/chat', '/v1/\tchat') + body + hidden,
  'a NUL in the target': head(length).replace('/v1/chat', '/v1/\0chat') + body + hidden,
}

test('a good request of the same making is served, and the one after it, too', async () => {
  const text = await exchange(
    gateway.url,
    head(length) + body + hidden.replace('host: x', 'host: x\r\nconnection: close'),
  )
  expect(statuses(text)).toEqual([200, 200])
  expect(provider.requests().map((request) => request.match(/first|SMUGL/)?.[0])).toEqual(['first', 'SMUGL'])
})

describe('refused with its connection, and nothing of it goes on:', () => {
  test.each(Object.keys(mutations))('%s', async (what) => {
    const text = await exchange(gateway.url, mutations[what]!)
    const all = statuses(text)
    // What stands behind it on the connection may be told so, too.
    expect(all.length, text).toBeGreaterThan(0)
    expect(all.filter((status) => status < 400 || status > 499)).toEqual([])
    expect(provider.requests()).toEqual([])
  })
})

test('two hosts are refused, though the body has one end (RFC 9112, 3.2)', async () => {
  for (const second of ['host: y', 'Host: x', 'host:']) {
    expect(statuses(await exchange(gateway.url, head(second, length) + body)), second).toEqual([400])
  }
  expect(provider.requests()).toEqual([])
})
