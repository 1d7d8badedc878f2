/** Cuts callers who take nothing of what is sent to them: each holds a connection, and what waits for him. */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Whoever has something to take and takes nothing for `timeoutMs` is cut, at the latest after twice that. They are looked
 * at all together: a timer for each answer would be felt by the others. What has left is counted in writes, so the least
 * that has to be taken in that time is one write: a whole answer, or a piece of a stream.
 */
export function cutStuckReaders(server: Server, timeoutMs: number): void {
  /** What had left when it was last looked; undefined = nothing waited. */
  const taken = new Map<Socket, number | undefined>()
  server.on('connection', (socket: Socket) => {
    taken.set(socket, undefined)
    socket.once('close', () => taken.delete(socket))
  })
  const looking = setInterval(() => {
    for (const [socket, before] of taken) {
      const now = socket.writableLength === 0 ? undefined : socket.bytesWritten - socket.writableLength
      if (now !== undefined && now === before) socket.destroy()
      else if (now !== before) taken.set(socket, now)
    }
  }, timeoutMs)
  looking.unref()
  server.on('close', () => clearInterval(looking))
}
