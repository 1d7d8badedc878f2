/** Reads a request's body from Node's own stream; a web stream on the way would cost more than the rest of the request. */
import type { IncomingMessage } from 'node:http'
import { ApiError } from '../../src/errors.ts'
import type { ReadBody } from '../../src/ports.ts'

export const readBody: ReadBody = (_request, bindings, maxBytes) => {
  const { incoming } = bindings as { incoming: IncomingMessage }
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = []
    let size = 0
    // The listeners stay: what comes after the promise is settled changes nothing, and the request is soon forgotten.
    const onGone = () => reject(new ApiError('client_closed'))
    if (incoming.destroyed && !incoming.readableEnded) return onGone()
    incoming
      .on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size <= maxBytes) return void chunks.push(chunk)
        chunks = []
        reject(new ApiError('body_too_large'))
      })
      .on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)))
      .on('error', onGone)
      .on('close', onGone)
  })
}
