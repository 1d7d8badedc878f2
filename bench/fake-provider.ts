/**
 * A model provider that costs next to nothing: prepared bytes over plain sockets, and just enough HTTP/1.1 (keep-alive,
 * content-length and chunked requests) for the proxies under test. A request whose body asks for a stream gets 200
 * events, each written by itself: as fast as the reader takes them, or one every TOKEN_INTERVAL_MS.
 */
import { createServer, type Socket } from 'node:net'
import { chatAnswer, streamEvents } from './answers.ts'

const whole = Buffer.from(
  'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n' +
    `content-length: ${Buffer.byteLength(chatAnswer)}\r\n\r\n${chatAnswer}`,
)
const streamHead = Buffer.from(
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n',
)
const chunks = [
  ...streamEvents.map((event) => Buffer.from(`${Buffer.byteLength(event).toString(16)}\r\n${event}\r\n`)),
  Buffer.from('0\r\n\r\n'),
]
const headEnd = Buffer.from('\r\n\r\n')
const lastChunk = Buffer.from('0\r\n\r\n')
const streamFlag = Buffer.from('"stream":true')
const nothing = Buffer.alloc(0)
const intervalMs = Number(process.env.TOKEN_INTERVAL_MS ?? 0)

const server = createServer({ noDelay: true }, serve)
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  console.log(JSON.stringify({ msg: 'listening', url: `http://127.0.0.1:${port}` }))
})
process.once('SIGTERM', () => process.exit(0))

function serve(socket: Socket): void {
  let pending: Buffer = nothing
  let streaming = false

  const read = () => {
    while (!streaming) {
      const end = requestEnd(pending)
      if (end === undefined) return
      const wantsStream = pending.subarray(0, end).includes(streamFlag)
      pending = end === pending.length ? nothing : pending.subarray(end)
      if (!wantsStream) socket.write(whole)
      else {
        streaming = true
        socket.write(streamHead)
        if (intervalMs > 0) writePaced(0)
        else writeFrom(0)
      }
    }
  }

  /** A reader who falls behind gets the rest later, from the socket's own queue. */
  const writePaced = (next: number) => {
    if (socket.destroyed) return
    socket.write(chunks[next] ?? nothing)
    if (next + 1 < chunks.length) {
      setTimeout(writePaced, intervalMs, next + 1)
      return
    }
    streaming = false
    read()
  }

  const writeFrom = (first: number) => {
    for (let next = first; next < chunks.length; next++) {
      if (socket.destroyed) return
      if (socket.write(chunks[next] ?? nothing)) continue
      socket.once('drain', () => writeFrom(next + 1))
      return
    }
    streaming = false
    if (first > 0) read()
  }

  socket.on('data', (data) => {
    pending = pending.length === 0 ? data : Buffer.concat([pending, data])
    read()
  })
  // A proxy that hangs up is no event here.
  socket.on('error', () => socket.destroy())
}

/** Where the first request of `bytes` ends; undefined until it is whole. */
function requestEnd(bytes: Buffer): number | undefined {
  const head = bytes.indexOf(headEnd)
  if (head < 0) return undefined
  const bodyStart = head + headEnd.length
  const headers = bytes.toString('latin1', 0, head)
  const length = /\ncontent-length: *(\d+)/i.exec(headers)
  if (length) {
    const end = bodyStart + Number(length[1])
    return bytes.length >= end ? end : undefined
  }
  if (!/\ntransfer-encoding: *chunked/i.test(headers)) return bodyStart
  const last = bytes.indexOf(lastChunk, bodyStart)
  return last < 0 ? undefined : last + lastChunk.length
}
