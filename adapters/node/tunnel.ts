/**
 * WebSockets on Node: the two sockets are joined once the machine has agreed and its 101 has been sent. No frame is
 * parsed: what the two ends say is their own business, and each of them ends a connection whose bytes make no sense.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Tunnel } from '../../src/ports.ts'
import type { NodeHttpClient } from './http-client.ts'

/** A caller who asked for a WebSocket, as the server hands him in. */
export interface CallerSocket {
  socket: Socket
  /** What came behind the request already. */
  head: Buffer
  /** Set where the machine agreed: called when its 101 has been sent. */
  join?: () => void
}

export function createTunnel({ http }: { http: Pick<NodeHttpClient, 'upgrade'> }): Tunnel {
  return async function tunnel(bindings, call) {
    const { upgrade: caller } = bindings as { upgrade?: CallerSocket }
    if (!caller) throw new TypeError('a tunnel is for those who asked for one')
    const answer = await http.upgrade({ ...call, method: 'GET', maxBytes: 0 })
    if (!('socket' in answer)) return answer
    const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>()
    const end = closeTogether(caller.socket, answer.socket, onClosed)
    call.signal.addEventListener('abort', end, { once: true })
    if (call.signal.aborted) end()
    caller.join = () => join(caller, answer.socket, call.idleTimeoutMs, end)
    return { status: 101, headers: answer.headers, closed }
  }
}

/** Neither outlives the other; answers what ends both. */
function closeTogether(one: Duplex, other: Duplex, onClosed: () => void): () => void {
  const end = () => {
    one.destroy()
    other.destroy()
    onClosed()
  }
  for (const socket of [one, other]) {
    // What broke is told to nobody: the other side sees its own connection close.
    socket.on('error', end)
    socket.on('close', end)
  }
  if (one.destroyed || other.destroyed) end()
  return end
}

function join({ socket, head }: CallerSocket, machine: Duplex, idleMs: number, end: () => void) {
  if (socket.destroyed || machine.destroyed) return end()
  // Whatever passes, either way, passes here.
  socket.setTimeout(idleMs, end)
  if (head.length > 0) socket.unshift(head)
  socket.pipe(machine)
  machine.pipe(socket)
}
