/** The WebSocket echo of a rented machine, at `/ws`. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'

const echo = new WebSocketServer({ noServer: true, maxPayload: 1024 * 1024 })

export function echoUpgrades(req: IncomingMessage, socket: Duplex, head: Buffer): void {
  // A caller that is gone is nobody to tell.
  socket.on('error', () => socket.destroy())
  if (!/^\/ws(?:\?|$)/.test(req.url ?? '')) {
    socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
    return
  }
  echo.handleUpgrade(req, socket, head, (peer) => {
    peer.on('message', (data, isBinary) => peer.send(data, { binary: isBinary }))
    // Its socket is closed with it; what broke is the caller's to know.
    peer.on('error', () => {})
  })
}
