import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { expect, test, vi } from 'vitest'
import { seededRandom } from '../../tests/support/seeded-random.ts'
import { ChunkedResponse } from './chunked-response.ts'

/** What a caller gets, byte for byte. */
async function sent(type: typeof ServerResponse<IncomingMessage>, listener: RequestListener, version = '1.1') {
  const server = createServer({ ServerResponse: type }, (incoming, outgoing) => {
    outgoing.sendDate = false
    listener(incoming, outgoing)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.write(`GET / HTTP/${version}\r\nhost: a\r\nconnection: close\r\n\r\n`)
  const bytes: Buffer[] = []
  for await (const chunk of socket) bytes.push(chunk as Buffer)
  server.close()
  return Buffer.concat(bytes).toString('latin1')
}

test.each(['1.1', '1.0'])('to a caller of HTTP/%s it is byte for byte what Node itself sends', async (version) => {
  const seed = Date.now() % 1_000_000
  const random = seededRandom(seed)
  const kinds = ['event', 'é', '😀', '', '\r\n', Buffer.from('bytes'), 'long '.repeat(10_000)]
  for (let round = 0; round < 20; round++) {
    const pieces = Array.from({ length: 8 }, () => kinds[Math.floor(random() * kinds.length)]!)
    const turns = pieces.map(() => random() < 0.5)
    const listener: RequestListener = async (_, outgoing) => {
      outgoing.writeHead(200, { 'x-name': 'é' })
      for (const [i, piece] of pieces.entries()) {
        if (turns[i]) await new Promise((resolve) => setImmediate(resolve))
        if (i === 3) outgoing.cork()
        if (i === 5) outgoing.uncork()
        if (i === 6) outgoing.write('e9', 'hex')
        outgoing.write(piece)
      }
      outgoing.end('last')
    }
    const [ours, nodes] = [
      await sent(ChunkedResponse, listener, version),
      await sent(ServerResponse, listener, version),
    ]
    expect(ours, `seed ${seed}, round ${round}`).toBe(nodes)
  }
})

test('a piece is one write', async () => {
  const writes: unknown[] = []
  await sent(ChunkedResponse, async (_, outgoing) => {
    outgoing.write('first')
    await new Promise((resolve) => setImmediate(resolve))
    const socket = outgoing.socket!
    const write = vi.spyOn(socket, 'write')
    outgoing.write('second é')
    writes.push(...write.mock.calls.map(([text]) => text))
    write.mockRestore()
    outgoing.end()
  })
  expect(writes).toEqual(['9\r\nsecond é\r\n'])
})
