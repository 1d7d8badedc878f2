/** Hands on a request's body from Node's own stream, which is read no faster than the receiver takes it. */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { ApiError } from '../../src/errors.ts'
import type { StreamBody } from '../../src/ports.ts'

/** Connections on which a body is being handed on: those may take longer than the server allows for a request. */
export const handingOn = new WeakSet<Socket>()

export const streamBody: StreamBody = (_request, bindings, { idleMs }) => {
  const { incoming } = bindings as { incoming: IncomingMessage }
  const { 'content-length': length, 'transfer-encoding': coding } = incoming.headers
  if (coding === undefined && (length === undefined || length === '0')) return undefined
  return pieces(incoming, idleMs)
}

async function* pieces(incoming: IncomingMessage, idleMs: number): AsyncGenerator<Uint8Array> {
  const { socket } = incoming
  // Not destroyed where the receiver wants no more of it: its answer is still to be sent on this connection.
  const chunks = incoming.iterator({ destroyOnReturn: false })
  let onSilence: (() => void) | undefined
  const next = () =>
    new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
      onSilence = () => reject(new ApiError('body_timeout'))
      chunks.next().then(resolve, (cause) => reject(new ApiError('client_closed', { cause })))
    }).finally(() => {
      onSilence = undefined
    })
  const { timeout = 0 } = socket
  handingOn.add(socket)
  // Nobody waits for the sender: then it is the receiver who is slow, whom other limits bound.
  incoming.setTimeout(idleMs, () => onSilence?.())
  try {
    for (let chunk = await next(); !chunk.done; chunk = await next()) yield chunk.value
  } finally {
    handingOn.delete(socket)
    socket.setTimeout(timeout)
  }
}
