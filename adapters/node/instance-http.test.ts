import type { LookupAddress } from 'node:dns'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HttpFailure } from '../../src/ports.ts'
import { createHttpClient } from './http-client.ts'
import { createInstanceConnector, isPlainOrigin, isPublicAddress, publicLookup } from './instance-http.ts'

/** Whoever connects to this machine is counted, whatever way he came. */
let server: Server
let port: number
let connections = 0
beforeAll(async () => {
  server = createServer((_, res) => res.writeHead(302, { location: `http://127.0.0.1:${port}/again` }).end())
  server.on('connection', () => connections++)
  await new Promise<void>((resolve) => server.listen(0, '::', resolve))
  port = (server.address() as AddressInfo).port
})
afterAll(() => server.close())

type Answers = Record<string, string[]>

function client({ allowLoopback = false, names = {} as Answers } = {}) {
  const asked: string[] = []
  const resolve = ((name: string, _: object, done: (error: Error | null, found: LookupAddress[]) => void) => {
    asked.push(name)
    const found = names[name] ?? []
    done(
      null,
      found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
  }) as unknown as NonNullable<Parameters<typeof createInstanceConnector>[0]['resolve']>
  const http = createHttpClient({
    connectTimeoutMs: 500,
    connector: createInstanceConnector({ connectTimeoutMs: 500, allowLoopback, resolve }),
    refuses: (origin) => !isPlainOrigin(origin),
  })
  const ask = (origin: string) =>
    http.bytes({
      ...{ method: 'GET', origin, path: '/', headers: {}, signal: new AbortController().signal },
      ...{ headersTimeoutMs: 500, idleTimeoutMs: 500, maxBytes: 1_000 },
    })
  return { ask, asked, close: http.close }
}

/** Ways to write an address of this machine, of its network, or of a cloud's metadata service. */
const hosts = [
  ...['127.0.0.1', '127.1', '127.0.1', '2130706433', '0x7f000001', '0x7f.0.0.1', '0177.0.0.1', '017700000001'],
  ...['127.0.0.2', '127.255.255.254', '0', '0.0.0.0', '0x0', '00.00.00.00', '127.0.0.1.', '①②⑦.⓪.⓪.①'],
  ...['10.0.0.1', '10.1', '0xa000001', '172.16.0.1', '172.31.255.255', '192.168.0.1', '192.168.257', '3232235521'],
  ...[
    '169.254.169.254',
    '2852039166',
    '0xa9fea9fe',
    '0251.0376.0251.0376',
    '169.254.43518',
    '168.63.129.16',
    '100.64.0.1',
  ],
  ...['100.100.100.200', '192.0.0.1', '192.0.0.192', '198.18.0.1', '224.0.0.1', '239.255.255.250', '240.0.0.1'],
  ...['255.255.255.255', '192.0.2.1', '198.51.100.1', '203.0.113.1', '192.88.99.1'],
  ...['[::1]', '[::]', '[0:0:0:0:0:0:0:1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::127.0.0.1]'],
  ...['[64:ff9b::7f00:1]', '[64:ff9b::a9fe:a9fe]', '[64:ff9b:1::1]', '[2002:7f00:1::]', '[2001::1]', '[2001:db8::1]'],
  ...['[fe80::1]', '[fe80::1%25lo]', '[fc00::1]', '[fd00:ec2::254]', '[ff02::1]', '[100::1]', '[3fff::1]'],
  ...['user@127.0.0.1', 'example.com@127.0.0.1', '127.0.0.1#@example.com', '127.0.0.1%2f', '%31%32%37.0.0.1'],
]
/** Names, by what they resolve to. */
const names: Answers = {
  localhost: ['127.0.0.1', '::1'],
  '127.0.0.1.nip.io': ['127.0.0.1'],
  'metadata.google.internal': ['169.254.169.254'],
  'six.example': ['::1'],
  'mapped.example': ['::ffff:127.0.0.1'],
  'private.example': ['10.0.0.7'],
  'mixed.example': ['93.184.216.34', '127.0.0.1'],
  'none.example': [],
}

describe('nothing is connected to that is not public', () => {
  test.each([...hosts, ...Object.keys(names)])('http://%s', async (host) => {
    for (const allowLoopback of [false, true]) {
      if (allowLoopback && host === '127.0.0.1') continue
      const { ask, close } = client({ allowLoopback, names })
      const before = connections
      const failure = await ask(`http://${host}:${port}`).catch((error: unknown) => error)
      expect(failure).toBeInstanceOf(HttpFailure)
      expect((failure as HttpFailure).kind).toBe('not_sent')
      expect(connections).toBe(before)
      await close()
    }
  })

  test('more than sixty ways were tried', () => {
    expect(new Set([...hosts, ...Object.keys(names)]).size).toBeGreaterThan(60)
  })

  test('this machine is reached where its own sandbox is the market, and a redirect is not followed', async () => {
    const { ask, close } = client({ allowLoopback: true })
    const before = connections
    expect((await ask(`http://127.0.0.1:${port}`)).status).toBe(302)
    expect(connections).toBe(before + 1)
    await close()
  })

  test('a name is looked up once for a connection, and what was looked up is what is connected to', () => {
    const answers = [['93.184.216.34'], ['127.0.0.1']]
    let asked = 0
    const resolve = ((_: string, __: object, done: (error: null, found: LookupAddress[]) => void) =>
      done(
        null,
        answers[asked++]!.map((address) => ({ address, family: 4 })),
      )) as unknown as Parameters<typeof publicLookup>[0]
    const found: unknown[] = []
    // As Node's `net.connect` asks: it then connects to what it is told, and asks nobody again.
    publicLookup(resolve)('turning.example', { all: true }, (error, addresses) => found.push(error, addresses))
    expect(found).toEqual([null, [{ address: '93.184.216.34', family: 4 }]])
    expect(asked).toBe(1)
    publicLookup(resolve)('turning.example', { all: true }, (error, addresses) => found.push(error, addresses))
    expect(found.slice(2)).toEqual([expect.objectContaining({ code: 'EADDRNOTPUBLIC' }), []])
  })
})

test.each(['http://1.2.3.4', 'http://1.2.3.4:80', 'https://a.example:443', 'http://[2606:4700::1111]:8000'])(
  '%s is a plain origin',
  (origin) => expect(isPlainOrigin(origin)).toBe(true),
)

test.each(['1.1.1.1', '93.184.216.34', '2606:4700::1111', '2a00:1450:4001::1'])('%s is public', (address) => {
  expect(isPublicAddress(address)).toBe(true)
})
