/** Reads a request's body from Node's own stream; a web stream on the way would cost more than the rest of the request. */
import type { IncomingMessage } from 'node:http'
import { ApiError } from '../../src/errors.ts'
import type { ReadBody } from '../../src/ports.ts'

export const readBody: ReadBody = (_request, bindings, maxBytes) => {
  const { incoming } = bindings as { incoming: IncomingMessage }
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] | undefined = []
    let size = 0
    // The listeners stay, since taking them off costs more than what they do once the chunks are gone.
    const end = (finish: (all: Buffer[]) => void) => {
      if (chunks) finish(chunks)
      chunks = undefined
    }
    const onGone = () => end(() => reject(new ApiError('client_closed')))
    if (incoming.destroyed && !incoming.readableEnded) return onGone()
    incoming
      .on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > maxBytes) end(() => reject(new ApiError('body_too_large')))
        else chunks?.push(chunk)
      })
      .on('end', () => end((all) => resolve(all.length === 1 ? all[0]! : Buffer.concat(all))))
      .on('error', onGone)
      .on('close', onGone)
  })
}
