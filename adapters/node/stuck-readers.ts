/** Cuts callers who take nothing of what is sent to them: each holds a connection, and what waits for him. */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'

export interface StuckReaders {
  /** Another time from now on. */
  cutAfter(timeoutMs: number): void
  stop(): void
}

/**
 * Whoever has something to take and takes nothing for `timeoutMs` is cut, at the latest after twice that. They are looked
 * at all together: a timer for each answer would be felt by the others.
 */
export function cutStuckReaders(server: Server, timeoutMs: number): StuckReaders {
  /** What the kernel had taken when it was last looked; undefined = nothing waited. */
  const taken = new Map<Socket, number | undefined>()
  server.on('connection', (socket: Socket) => {
    taken.set(socket, undefined)
    socket.once('close', () => taken.delete(socket))
  })
  const look = () => {
    for (const [socket, before] of taken) {
      const now = socket.writableLength === 0 ? undefined : takenFrom(socket)
      if (now !== undefined && now === before) socket.destroy()
      else if (now !== before) taken.set(socket, now)
    }
  }
  const every = (ms: number) => setInterval(look, ms).unref()
  let looking = every(timeoutMs)
  return {
    cutAfter(ms) {
      clearInterval(looking)
      looking = every(ms)
    },
    // Not at the server's close: that comes while connections are open which came in on other sockets of its port.
    stop: () => clearInterval(looking),
  }
}

/** Node has no other word for how far a write has come: by `bytesWritten` it is all out once it is begun. */
const takenFrom = (socket: Socket) => {
  const { _handle: handle } = socket as { _handle?: { bytesWritten: number; writeQueueSize: number } | null }
  return handle ? handle.bytesWritten - handle.writeQueueSize : 0
}
