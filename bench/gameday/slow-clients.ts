/** Clients that hold a connection as long as they may: slow with their headers, with their body, or with reading. */
import { connect, type Socket } from 'node:net'
import { apiKey } from '../systems.ts'
import { bodyOf } from './setting.ts'

export interface SlowClients {
  /** Connections that the gateway has ended. */
  cut(): number
  stop(): Promise<void>
}

const everyMs = 1_000
const post = (body: string, length = body.length) =>
  `POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer ${apiKey}\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n${body}`

const page = 'GET /openapi.json HTTP/1.1\r\nhost: gateway\r\n\r\n'
/** More than the kernel keeps for somebody who does not read. */
const pages = 20

/** A third of each kind; one that is cut comes again. None of their calls is whole, so no provider sees one. */
export function startSlowClients(url: string, count: number): SlowClients {
  const { hostname, port } = new URL(url)
  const sockets = new Set<Socket>()
  let cut = 0
  let stopped = false
  const open = (nth: number) => {
    const socket = connect(Number(port), hostname)
    sockets.add(socket)
    socket.on('error', () => {}) // It is cut, and counted when it closes.
    const reads = nth % 3 !== 2
    const timer = setInterval(() => reads && socket.write(nth % 3 === 0 ? 'x' : ' '), everyMs)
    socket.once('connect', () => {
      if (nth % 3 === 0) socket.write('GET /v1/models HTTP/1.1\r\nx-slow: ')
      if (nth % 3 === 1) socket.write(post('{', bodyOf('pair', 0).length))
      if (!reads) socket.write(page.repeat(pages))
    })
    socket.once('close', () => {
      clearInterval(timer)
      sockets.delete(socket)
      if (stopped) return
      cut++
      // Not at once: a storm of connections is another fault.
      setTimeout(() => !stopped && open(nth), everyMs)
    })
    if (reads) socket.resume()
  }
  for (let nth = 0; nth < count; nth++) open(nth)
  return {
    cut: () => cut,
    async stop() {
      stopped = true
      for (const socket of sockets) socket.destroy()
    },
  }
}
