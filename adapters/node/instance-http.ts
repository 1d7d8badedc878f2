/**
 * The HTTP client for rented machines, whose addresses strangers published. What is checked is the address that is
 * connected to, not the text: a name is looked up once, and the connection goes to what that look-up answered. Redirects
 * are not followed by the client underneath.
 */
import { type LookupAddress, lookup } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { buildConnector } from 'undici'
import { createHttpClient, type HttpClientOptions, type NodeHttpClient } from './http-client.ts'

export interface InstanceHttpOptions extends Pick<HttpClientOptions, 'connectTimeoutMs' | 'batchMs'> {
  isProduction: boolean
  /** Of the markets that there are. */
  marketUrls: readonly (string | undefined)[]
  /** @default the system's */
  resolve?: typeof lookup
}

export function createInstanceHttp(options: InstanceHttpOptions): NodeHttpClient {
  const { connectTimeoutMs, batchMs, isProduction, marketUrls, resolve = lookup } = options
  // A market on this machine is a sandbox, and its machines are here, too.
  const allowLoopback = !isProduction && marketUrls.some((url) => URL.parse(url ?? '')?.hostname === '127.0.0.1')
  return createHttpClient({
    connectTimeoutMs,
    ...(batchMs && { batchMs }),
    connector: createConnector({ connectTimeoutMs, allowLoopback, resolve }),
    refuses: (origin) => !isPlainOrigin(origin),
  })
}

interface ConnectorOptions {
  connectTimeoutMs: number
  /** `127.0.0.1`, written just so, may be connected to. */
  allowLoopback: boolean
  resolve: typeof lookup
}

const special = new BlockList()
for (const [address, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  // Azure's host service, which every machine there can ask.
  ['168.63.129.16', 32],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const)
  special.addSubnet(address, bits, 'ipv4')
/** Within 2000::/3, all that is public: Teredo, documentation, 6to4, and other special purposes. */
for (const [address, bits] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const)
  special.addSubnet(address, bits, 'ipv6')
const global = new BlockList()
global.addSubnet('2000::', 3, 'ipv6')

/** Of an IP address in whatever notation `isIP` takes: whether it is one of the public internet. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address)
  if (family === 4) return !special.check(address, 'ipv4')
  return family === 6 && !address.includes('%') && global.check(address, 'ipv6') && !special.check(address, 'ipv6')
}

class AddressRefused extends Error {
  override name = 'AddressRefused'
  readonly code = 'EADDRNOTPUBLIC'
}

/** Looks a name up once; what it answers is what is connected to, or nothing is. */
function publicLookup(resolve: typeof lookup): LookupFunction {
  return (hostname, wanted, callback) => {
    resolve(hostname, { ...wanted, all: true }, (error: NodeJS.ErrnoException | null, found: LookupAddress[]) => {
      if (error) return callback(error, [])
      // One that is not public spoils them all: such a name is somebody's trick.
      if (found.length === 0 || !found.every(({ address }) => isPublicAddress(address))) {
        return callback(new AddressRefused(), [])
      }
      if (wanted.all) return callback(null, found)
      callback(null, found[0]!.address, found[0]!.family)
    })
  }
}

function createConnector(options: ConnectorOptions): buildConnector.connector {
  const { connectTimeoutMs, allowLoopback, resolve } = options
  const connect = buildConnector({ timeout: connectTimeoutMs, lookup: publicLookup(resolve) })

  return (target, callback) => {
    const host = target.hostname.replace(/^\[(.*)\]$/, '$1')
    const isLiteral = isIP(host) !== 0
    if (isLiteral && !isPublicAddress(host) && !(allowLoopback && host === '127.0.0.1')) {
      return callback(new AddressRefused(), null)
    }
    connect(target, callback)
  }
}

/** `127.1` and the like are no way to write an address here: a URL's own words must be what it means. */
export function isPlainOrigin(origin: string): boolean {
  const url = URL.parse(origin)
  // A URL leaves out the port that its scheme has anyway.
  return url !== null && [url.origin, `${url.origin}:${url.protocol === 'https:' ? 443 : 80}`].includes(origin)
}
