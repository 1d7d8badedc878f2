/** A market that lies about where a machine is: whatever it publishes, nothing that is not public is connected to. */
import type { lookup } from 'node:dns'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createInstanceHttp } from '../../adapters/node/instance-http.ts'
import { createTunnel } from '../../adapters/node/tunnel.ts'
import { addressForms, lyingNames } from '../support/address-forms.ts'
import { testKey } from '../support/gateway.ts'
import { type RentedMachine, startRentedMachine } from '../support/rented-machine.ts'

/** Whoever comes to this machine, by whatever address, is counted. */
let listener: Server
let port: number
let connections = 0
let machine: RentedMachine
const resolve = ((name: string, _: object, done: (error: null, found: object[]) => void) =>
  done(
    null,
    (lyingNames[name] ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
  )) as unknown as typeof lookup
const instanceHttp = createInstanceHttp({
  connectTimeoutMs: 500,
  isProduction: true,
  // As if the market were the sandbox: in production that opens nothing.
  marketUrls: ['http://127.0.0.1:1'],
  resolve,
})

beforeAll(async () => {
  listener = createServer((socket) => {
    connections++
    socket.destroy()
  })
  listener.listen(0, '::')
  await once(listener, 'listening')
  port = (listener.address() as AddressInfo).port
  machine = await startRentedMachine((_, res) => res.end(), {
    ports: { instanceHttp, tunnel: createTunnel({ http: instanceHttp }) },
  })
})
afterAll(async () => {
  await machine.close()
  await instanceHttp.close()
  listener.close()
})

const headers = { authorization: `Bearer ${testKey}` }
const refused = (socket: WebSocket) =>
  new Promise<boolean>((done) => {
    socket.addEventListener('open', () => done(false), { once: true })
    socket.addEventListener('error', () => done(true), { once: true })
  })

describe('as what a market publishes', () => {
  test.each([...addressForms, ...Object.keys(lyingNames)])('%s is not connected to', async (host) => {
    const before = connections
    const origins = ['http', 'https'].map((scheme) => `${scheme}://${host}:${port}`)
    for (const origin of [...origins, `http://${host}`, `http://${host}:${port}/`, `HTTP://${host}:${port}`]) {
      const id = machine.rent(origin)
      const url = machine.url('/latest/meta-data', id)
      for (const method of ['GET', 'POST']) {
        const response = await fetch(url, { method, headers, ...(method === 'POST' && { body: 'x' }) })
        expect([response.status, (await response.json()).code]).toEqual([502, 'instance_unreachable'])
      }
      expect(await refused(new WebSocket(url.replace('http', 'ws'), { headers } as unknown as string[]))).toBe(true)
    }
    expect(connections).toBe(before)
  })
})

test('the listener counts', async () => {
  const before = connections
  await expect(fetch(`http://127.0.0.1:${port}`)).rejects.toThrow()
  expect(connections).toBe(before + 1)
})
