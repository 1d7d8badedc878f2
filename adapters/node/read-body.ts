/** Reads a request's body from Node's own stream; a web stream on the way would cost more than the rest of the request. */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { ApiError } from '../../src/errors.ts'
import type { ReadBody } from '../../src/ports.ts'

/** What comes more slowly than this is given no longer than any request: half a megabit a second. */
const leastBytesPerSecond = 64 * 1024
/** What is smaller has come in the time of any request (30 s), or comes too slowly. */
const largeBytes = 30 * leastBytesPerSecond

/** Large bodies that are being read, by connection. */
const large = new WeakMap<Socket, LargeBody>()
export const largeBodyOn = (socket: Socket): LargeBody | undefined => large.get(socket)

export class LargeBody {
  private readonly socket: Socket
  private since = performance.now()
  private bytesBefore: number

  constructor(socket: Socket) {
    this.socket = socket
    this.bytesBefore = socket.bytesRead
  }

  /** Since it was asked last, or since it began. */
  comesSteadily(): boolean {
    const [now, bytes] = [performance.now(), this.socket.bytesRead]
    const isSteady = bytes - this.bytesBefore >= (leastBytesPerSecond * (now - this.since)) / 1000
    this.since = now
    this.bytesBefore = bytes
    return isSteady
  }
}

export const readBody: ReadBody = (_request, bindings, maxBytes) => {
  const { incoming } = bindings as { incoming: IncomingMessage }
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] | undefined = []
    let size = 0
    // The listeners stay, since taking them off costs more than what they do once the chunks are gone.
    const isLarge = !(Number(incoming.headers['content-length']) < largeBytes)
    const end = (finish: (all: Buffer[]) => void) => {
      if (chunks) finish(chunks)
      chunks = undefined
    }
    const onGone = () => end(() => reject(new ApiError('client_closed')))
    if (incoming.destroyed && !incoming.readableEnded) return onGone()
    if (isLarge) large.set(incoming.socket, new LargeBody(incoming.socket))
    incoming
      .on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > maxBytes) end(() => reject(new ApiError('body_too_large')))
        else chunks?.push(chunk)
      })
      .on('end', () => {
        // Not where it is refused: what still comes of it must come steadily, too.
        if (isLarge) large.delete(incoming.socket)
        end((all) => resolve(all.length === 1 ? all[0]! : Buffer.concat(all)))
      })
      .on('error', onGone)
      .on('close', onGone)
  })
}
