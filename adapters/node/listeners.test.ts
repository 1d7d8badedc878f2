import { createServer } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { listen } from './listeners.ts'

const host = '127.0.0.1'
const hello = () => createServer((_, response) => response.end('hello'))

describe('listening on one port several times over', () => {
  it('answers on whichever socket a connection comes in, and closes them all', async () => {
    const server = hello()
    const listeners = await listen(server, { host, port: 0 })
    const url = `http://${host}:${listeners.port}/`
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => fetch(url, { headers: { connection: 'close' } }).then((r) => r.text())),
    )
    expect(answers).toEqual(Array(50).fill('hello'))
    const closed = listeners.close()
    server.closeAllConnections()
    await closed
    await expect(fetch(url)).rejects.toThrow()
  })

  it('keeps connections for more requests, and cuts them with the rest, wherever they came in', async () => {
    const server = hello()
    const listeners = await listen(server, { host, port: 0 })
    const clients = Array.from({ length: 30 }, () => connect(listeners.port, host))
    const answered = clients.map(async (client) => {
      let text = ''
      for (let round = 1; round <= 2; round++) {
        client.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
        while (text.split('hello').length <= round) {
          text += await new Promise((resolve) => client.once('data', resolve))
        }
      }
    })
    await Promise.all(answered)
    const ended = clients.map((client) => new Promise((resolve) => client.once('close', resolve)))
    const closed = listeners.close()
    server.closeAllConnections()
    await Promise.all([closed, ...ended])
  })

  it('refuses a port that is taken, also by one that would share it', async () => {
    const first = await listen(hello(), { host, port: 0 })
    await expect(listen(hello(), { host, port: first.port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
    await first.close()
  })
})
