/** Reads a request's body from Node's own stream; a web stream on the way would cost more than the rest of the request. */
import type { IncomingMessage } from 'node:http'
import { ApiError } from '../../src/errors.ts'
import type { ReadBody } from '../../src/ports.ts'

export const readBody: ReadBody = (_request, bindings, maxBytes) => {
  const { incoming } = bindings as { incoming: IncomingMessage }
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const settle = (finish: () => void) => {
      incoming.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone)
      finish()
    }
    const onData = (chunk: Buffer) => {
      size += chunk.length
      if (size > maxBytes) settle(() => reject(new ApiError('body_too_large')))
      else chunks.push(chunk)
    }
    const onEnd = () => settle(() => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)))
    const onGone = () => settle(() => reject(new ApiError('client_closed')))
    if (incoming.destroyed && !incoming.readableEnded) return reject(new ApiError('client_closed'))
    incoming.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone)
  })
}
