/**
 * The reply port on Node. A body that is text or bytes leaves in one write; an iterable is read through `getReader`,
 * which @hono/node-server's fast path accepts in place of a web stream (checked end to end by tests/flows).
 */
import { isUtf8 } from 'node:buffer'
import type { AnswerHeaders, Reply } from '../../src/ports.ts'

export const reply: Reply = (status, answerHeaders, body) => {
  const headers = (body === null ? singly(answerHeaders) : answerHeaders) as HeadersInit
  if (body === null || typeof body === 'string' || body instanceof Uint8Array) {
    return new Response((body instanceof Uint8Array ? textOf(body) : body) as BodyInit | null, { status, headers })
  }
  return new Response(readerBody(body) as unknown as BodyInit, { status, headers })
}

/** Without a body the answer may be made anew from this one, and then only the web's own headers keep a list apart. */
function singly(headers: AnswerHeaders): AnswerHeaders | Headers {
  if (!Object.values(headers).some(Array.isArray)) return headers
  const single = new Headers()
  for (const [name, value] of Object.entries(headers)) {
    for (const each of typeof value === 'string' ? [value] : value) single.append(name, each)
  }
  return single
}

/** A small text that is in bytes: Node sends it in one piece with the headers, bytes in a piece of their own. */
function textOf(bytes: Uint8Array): string | Uint8Array {
  if (bytes.length > maxTextBytes || !isUtf8(bytes)) return bytes
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
}

const maxTextBytes = 4096

type Chunk = string | Uint8Array

function readerBody(body: AsyncIterable<Chunk>) {
  const iterator = body[Symbol.asyncIterator]()
  const { promise: closed, resolve: close } = Promise.withResolvers<void>()
  let begun = false
  const onNext = (next: IteratorResult<Chunk, undefined>) => {
    if (next.done) close()
    return next
  }
  const onError = (error: unknown) => {
    close()
    throw error
  }
  async function cancel() {
    close()
    // The port promises that a body is always begun, so that its clean-up runs.
    if (!begun) await iterator.next()
    await iterator.return?.()
  }
  return {
    locked: false,
    // Of a caller who had left before there was an answer, no reader is asked for.
    cancel,
    getReader: () => ({
      // Never rejects: the server would write the error's own words into the answer. A failed read cuts the connection.
      closed,
      releaseLock() {},
      read(): Promise<IteratorResult<Chunk, undefined>> {
        begun = true
        return iterator.next().then(onNext, onError)
      },
      cancel,
    }),
  }
}
