import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { LookupAddress } from 'node:dns'
import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HttpFailure } from '../../src/ports.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { createReplicaProbe } from '../../src/services/replica-probe.ts'
import { addressForms, lyingNames } from '../../tests/support/address-forms.ts'
import { createInstanceHttp, type InstanceHttpOptions, isPlainOrigin, isPublicAddress } from './instance-http.ts'

/** Whoever connects to this machine is counted, whatever way he came. */
let server: Server
let port: number
let connections = 0
const requests: string[] = []
beforeAll(async () => {
  server = createServer((req, res) => {
    requests.push(req.url!)
    res.writeHead(302, { location: `http://127.0.0.1:${port}/again` }).end()
  })
  server.on('connection', () => connections++)
  await new Promise<void>((resolve) => server.listen(0, '::', resolve))
  port = (server.address() as AddressInfo).port
})
afterAll(() => server.close())

/** What the stub of a resolver says of a name, each time it is asked. */
function client({
  isProduction = false,
  market = 'https://console.vast.ai',
  answers = (_: string): readonly string[] => [],
} = {}) {
  const asked: string[] = []
  const resolve = ((name: string, _: object, done: (error: Error | null, found: LookupAddress[]) => void) => {
    asked.push(name)
    const found = answers(name).map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    done(null, found)
  }) as unknown as NonNullable<InstanceHttpOptions['resolve']>
  const http = createInstanceHttp({ connectTimeoutMs: 500, isProduction, marketUrls: [undefined, market], resolve })
  const callOf = (origin: string) => ({
    ...{ method: 'GET', origin, path: '/', headers: {}, signal: new AbortController().signal },
    ...{ headersTimeoutMs: 500, idleTimeoutMs: 500, maxBytes: 1_000 },
  })
  const probe = createReplicaProbe({ http, clock })
  return {
    /** Every way in which a machine is called. */
    ways: {
      bytes: (origin: string) => http.bytes(callOf(origin)),
      stream: (origin: string) => http.stream(callOf(origin)),
      websocket: (origin: string) => http.upgrade(callOf(origin)),
    },
    probe: (origin: string) => probe(origin, 'a model', 'a key', new AbortController().signal),
    asked,
    close: http.close,
  }
}
const sandboxMarket = 'http://127.0.0.1:9'

describe('nothing is connected to that is not public', () => {
  test.each([...addressForms, ...Object.keys(lyingNames)])('http://%s', async (host) => {
    for (const market of ['https://console.vast.ai', sandboxMarket]) {
      if (market === sandboxMarket && host === '127.0.0.1') continue
      const { ways, probe, close } = client({ market, answers: (name) => lyingNames[name] ?? [] })
      const before = connections
      for (const ask of Object.values(ways)) {
        const failure = await ask(`http://${host}:${port}`).catch((error: unknown) => error)
        expect(failure).toBeInstanceOf(HttpFailure)
        expect((failure as HttpFailure).kind).toBe('not_sent')
      }
      expect(await probe(`http://${host}:${port}`)).toBe(false)
      expect(connections).toBe(before)
      await close()
    }
  })

  test('more than sixty ways were tried', () => {
    expect(new Set([...addressForms, ...Object.keys(lyingNames)]).size).toBeGreaterThan(60)
  })

  test('this machine is reached where its own sandbox is the market, and a redirect is not followed', async () => {
    const { ways, close } = client({ market: sandboxMarket })
    const before = connections
    for (const ask of Object.values(ways)) {
      expect(await ask(`http://127.0.0.1:${port}`)).toMatchObject({ status: 302 })
    }
    expect(requests).toEqual(['/', '/', '/'])
    // One for each way at most: the first two may share theirs.
    expect(connections - before).toBeLessThanOrEqual(3)
    await close()
  })

  test.each([
    ['in production', { isProduction: true, market: sandboxMarket }],
    ['where no market is on this machine', { market: 'https://console.vast.ai' }],
    ['where a market is on it by another name', { market: 'http://localhost:9' }],
  ])('this machine is out of reach %s', async (_, options) => {
    const { ways, probe, close } = client(options)
    const before = connections
    for (const ask of Object.values(ways)) {
      await expect(ask(`http://127.0.0.1:${port}`)).rejects.toThrow('not_sent')
    }
    expect(await probe(`http://127.0.0.1:${port}`)).toBe(false)
    expect(connections).toBe(before)
    await close()
  })

  test('a name is looked up once for each connection, and is connected to at the address that was checked', async () => {
    const attempts: string[] = []
    const watch = (message: unknown) => {
      const { socket } = message as { socket: Socket }
      socket.on('connectionAttempt', (ip) => attempts.push(ip))
    }
    subscribe('net.client.socket', watch)
    // Public by its range, and leads nowhere: of no network, and without a way from most machines.
    const checked = '2000::1'
    const { ways, asked, close } = client({
      market: sandboxMarket,
      answers: () => [asked.length === 1 ? checked : '127.0.0.1'],
    })
    const before = connections
    const first = await ways.bytes(`http://turning.example:${port}`).catch((error: unknown) => error)
    expect(first).toBeInstanceOf(HttpFailure)
    expect([asked.length, attempts]).toEqual([1, [checked]])
    // Asked again, it says what it was made for.
    await expect(ways.bytes(`http://turning.example:${port}`)).rejects.toThrow('not_sent')
    await expect(ways.websocket(`http://turning.example:${port}`)).rejects.toThrow('not_sent')
    unsubscribe('net.client.socket', watch)
    expect([asked.length, attempts]).toEqual([3, [checked]])
    expect(connections).toBe(before)
    await close()
  })
})

test.each(['http://1.2.3.4', 'http://1.2.3.4:80', 'https://a.example:443', 'http://[2606:4700::1111]:8000'])(
  '%s is a plain origin',
  (origin) => expect(isPlainOrigin(origin)).toBe(true),
)

test.each(['1.1.1.1', '93.184.216.34', '2606:4700::1111', '2a00:1450:4001::1'])('%s is public', (address) => {
  expect(isPublicAddress(address)).toBe(true)
})
