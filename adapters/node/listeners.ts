/**
 * Listens on one port several times over. Node's loop accepts one connection of a listening socket in each turn; when a
 * turn takes 20 ms, that is 50 new connections a second, and a liveness probe, which always comes on a new one, waits
 * behind all others for longer than the kubelet does. The kernel spreads connections over sockets that share a port.
 */
import { once } from 'node:events'
import type { Server as HttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'

export interface Listeners {
  port: number
  /** Takes no more connections, on any socket. Resolves when those that there are have ended. */
  close(): Promise<void>
}

const sockets = 64
/** What a server for HTTP asks of its connections. */
const connectionOptions = { allowHalfOpen: true, noDelay: true }

/** Rejects with the operating system's reason where the first socket cannot be had. */
export async function listen(server: HttpServer, { host, port }: { host: string; port: number }): Promise<Listeners> {
  if (process.platform !== 'linux') return { port: await bind(server, { host, port }), close: () => close([server]) }
  // Alone at first: among sockets that share, one more process on the port by mistake would go unnoticed.
  const first = createServer()
  const chosen = await bind(first, { host, port })
  await close([first])
  const more = Array.from({ length: sockets - 1 }, () =>
    createServer(connectionOptions, (socket) => void server.emit('connection', socket)),
  )
  const all = [server, ...more]
  try {
    for (const each of all) await bind(each, { host, port: chosen, reusePort: true })
  } catch (error) {
    await close(all.filter(({ listening }) => listening))
    throw error
  }
  return { port: chosen, close: () => close(all) }
}

async function bind(server: Server, options: { host: string; port: number; reusePort?: boolean }): Promise<number> {
  server.listen(options)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function close(servers: readonly Server[]): Promise<void> {
  const closed = servers.map((server) => once(server, 'close'))
  for (const server of servers) server.close()
  await Promise.all(closed)
}
