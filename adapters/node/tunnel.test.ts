import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { OpenTunnel } from '../../src/ports.ts'
import { type CallerSocket, createTunnel } from './tunnel.ts'

/** Both ends of a connection; the second as a server has it, which waits for the other to say all. */
async function pair(): Promise<[Socket, Socket]> {
  const accepted = once(listener, 'connection')
  const one = connect((listener.address() as AddressInfo).port, '127.0.0.1')
  const [other] = (await accepted) as [Socket]
  for (const socket of [one, other]) socket.on('error', () => {})
  return [one, other]
}
const listener = createServer({ allowHalfOpen: true })
beforeAll(() => once(listener.listen(0, '127.0.0.1'), 'listening'))
afterAll(() => listener.close())

let caller: Socket
let machine: Socket
let binding: CallerSocket
let ending: AbortController
let tunnel: OpenTunnel
async function open(idleTimeoutMs = 30_000) {
  const [near, far] = [await pair(), await pair()]
  caller = near[0]
  machine = far[0]
  binding = { socket: near[1], head: Buffer.from('early ') }
  ending = new AbortController()
  const join = createTunnel({ http: { upgrade: async () => ({ headers: { a: '1' }, socket: far[1] }) } })
  const call = { origin: 'http://m', path: '/', headers: {}, headersTimeoutMs: 1_000, idleTimeoutMs }
  tunnel = (await join({ upgrade: binding }, { ...call, signal: ending.signal })) as OpenTunnel
}
beforeEach(() => open())

const closed = (socket: Socket) => (socket.destroyed ? Promise.resolve() : once(socket.resume(), 'close'))
const bothClosed = () => Promise.all([closed(caller), closed(machine), tunnel.closed])

test('joins both once its answer has been sent, with what the caller had sent before', async () => {
  expect(tunnel).toMatchObject({ status: 101, headers: { a: '1' } })
  binding.join!()
  caller.write('late')
  let came = ''
  for await (const data of machine) {
    came += data
    if (came === 'early late') break
  }
  expect(came).toBe('early late')
})

test.each<[string, () => unknown]>([
  ['the caller leaves', () => caller.destroy()],
  ['the caller breaks', () => caller.resetAndDestroy()],
  ['the machine leaves', () => machine.destroy()],
  ['the machine breaks', () => machine.resetAndDestroy()],
  ['both have said all', () => [caller.end(), machine.end()]],
  ['it is to end', () => ending.abort()],
])('ends on both sides where %s', async (_, end) => {
  binding.join!()
  end()
  await bothClosed()
})

test('ends where it is to end before it is joined', async () => {
  ending.abort()
  await Promise.all([closed(caller), tunnel.closed])
  binding.join!()
})

test('ends after a silence', async () => {
  await open(100)
  binding.join!()
  await bothClosed()
})
