import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { between, ofKind, othersOf, p99, type Sent, shareOf, startLoad } from '../../bench/gameday/load.ts'

const sent = (at: number, own: Partial<Sent> = {}): Sent => ({
  kind: 'chat',
  at,
  ms: at,
  lagMs: 0,
  status: 200,
  whole: true,
  code: undefined,
  number: undefined,
  firstMs: at,
  requestId: undefined,
  tries: 1,
  retryAfter: undefined,
  received: 0,
  leftAt: undefined,
  silentlyCut: false,
  ...own,
})

const server = createServer((req, res) => {
  req.resume()
  if (req.url === '/refused') return res.writeHead(503).end('{"code":"read_only"}')
  if (req.url === '/cut') return res.writeHead(200).end('{"half":')
  return res.writeHead(200, { 'x-request-id': String(++ids) }).end('{}')
})
let ids = 0
let url: string
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => void server.close())

test('a part of the run, a kind, its share and its slowest hundredth', () => {
  const all = Array.from({ length: 100 }, (_, i) => sent(i + 1, { kind: i % 2 ? 'chat' : 'spend', whole: i < 80 }))
  expect(between(all, 11, 21)).toHaveLength(10)
  expect(ofKind(all, 'spend')).toHaveLength(50)
  expect(shareOf(all, ({ whole }) => whole)).toBe(0.8)
  expect(shareOf([], () => true)).toBeNaN()
  expect(p99(all)).toBe(99)
})

test('what was not whole is told by status and code', () => {
  const refused = { status: 503, code: 'read_only', whole: false }
  expect(othersOf([sent(1), sent(2, refused), sent(3, refused), sent(4, { whole: false, code: 'cut' })])).toBe(
    '2 x 503 read_only, 1 x 200 cut',
  )
  expect(othersOf([sent(1)])).toBe('none')
})

test('each request is sent once and judged by its last bytes; and is in the history with its id', async () => {
  const kind = { method: 'POST' as const, body: '{}', ending: '}', perSecond: 50 }
  const load = await startLoad(
    url,
    [
      { ...kind, name: 'good', path: '/good' },
      { ...kind, name: 'refused', path: '/refused' },
      { ...kind, name: 'cut', path: '/cut' },
    ],
    0.4,
  )
  const all = await load.done
  expect(all).toHaveLength(60)
  expect(ofKind(all, 'good').every(({ whole }) => whole)).toBe(true)
  expect(othersOf(all)).toBe('20 x 503 read_only, 20 x 200 cut')
  // Those that came before the load began are in the history, too.
  const served = load.history.filter(({ kind }) => kind === 'good')
  expect(new Set(served.map(({ requestId }) => requestId)).size).toBe(ids)
})
