/** Answers that are wrong in ways a gateway must not pass on as if they were whole: threat 38 of the list. */
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { gzipSync } from 'node:zlib'

const head = 'HTTP/1.1 200 OK\r\n'
const sse = `${head}content-type: text/event-stream\r\nconnection: close\r\n`
const whole = `${head}content-type: application/json\r\nconnection: close\r\n`
const delta = (content: string) =>
  `data: {"choices":[{"index":0,"delta":{"content":"${content}"},"finish_reason":null}]}\n\n`
const answer = '{"choices":[{"index":0,"message":{"role":"assistant","content":"word"},"finish_reason":"stop"}]}'
const mib = 1024 * 1024
// Made once: whoever made them for each answer would be late with all others.
const longLine = Buffer.from(`${sse}\r\n${delta('x'.repeat(10 * mib))}`)
const hugeHeaders = Buffer.from(`${head}x-filler: ${'x'.repeat(mib)}\r\n\r\n`)

/** Written in the place of an answer. A socket that the other side has closed takes no more. */
const poisons = {
  /** One byte each second. */
  trickle: (socket: Socket) => {
    socket.write(`${sse}\r\n`)
    drip(socket, () => 'd', 1_000)
  },
  /** Never ends. */
  infinite: (socket: Socket) => {
    socket.write(`${sse}\r\n`)
    drip(socket, () => delta(' w'), 10)
  },
  /** One event of ten megabytes. */
  longLine: (socket: Socket) => socket.end(longLine),
  /** Lines that make no event. */
  noBlankLine: (socket: Socket) => socket.end(`${sse}\r\n${`${delta(' w').trimEnd()}\n`.repeat(3)}`),
  badUtf8: (socket: Socket) => {
    socket.write(`${sse}\r\n`)
    socket.end(Buffer.concat([Buffer.from('data: {"choices":['), Buffer.from([0xc3, 0x28, 0xff]), Buffer.from('\n\n')]))
  },
  /** The body ends in the middle of a letter. */
  splitLetter: (socket: Socket) => {
    const bytes = Buffer.from(delta(' Größe'))
    socket.write(`${sse}\r\n`)
    socket.end(bytes.subarray(0, bytes.indexOf(0xc3) + 1))
  },
  jsonCut: (socket: Socket) => {
    const cut = answer.slice(0, -20)
    socket.end(`${whole}content-length: ${cut.length}\r\n\r\n${cut}`)
  },
  hugeHeaders: (socket: Socket) => socket.end(hugeHeaders),
  resetBeforeHead: (socket: Socket) => reset(socket),
  resetInHead: (socket: Socket) => socket.write(head, () => reset(socket)),
  resetAfterHead: (socket: Socket) => socket.write(`${sse}\r\n`, () => reset(socket)),
  resetInEvent: (socket: Socket) =>
    socket.write(`${sse}\r\n${delta(' w')}${delta(' w').slice(0, 20)}`, () => reset(socket)),
  resetAfterEvent: (socket: Socket) => socket.write(`${sse}\r\n${delta(' w')}`, () => reset(socket)),
  errorIn200: (socket: Socket) => {
    const body = '{"error":{"message":"The engine is down.","type":"server_error","param":null,"code":null}}'
    socket.end(`${whole}content-length: ${body.length}\r\n\r\n${body}`)
  },
  tooShort: (socket: Socket) => socket.end(`${whole}content-length: ${answer.length + 50}\r\n\r\n${answer}`),
  informational: (socket: Socket) => drip(socket, () => 'HTTP/1.1 103 Early Hints\r\n\r\n', 10),
  notGzip: (socket: Socket) =>
    socket.end(`${whole}content-encoding: gzip\r\ncontent-length: ${answer.length}\r\n\r\n${answer}`),
  gzipCut: (socket: Socket) => {
    const bytes = gzipSync(answer).subarray(0, 40)
    socket.write(`${whole}content-encoding: gzip\r\ncontent-length: ${bytes.length}\r\n\r\n`)
    socket.end(bytes)
  },
} satisfies Record<string, (socket: Socket) => unknown>

export type Poison = keyof typeof poisons
export const poisonNames = Object.keys(poisons) as Poison[]
/** Those whose poison is in a stream; the others answer a call that asks for none. */
export const streamed = (poison: Poison) =>
  /^(trickle|infinite|longLine|noBlankLine|badUtf8|splitLetter|resetInEvent|resetAfter\w+)$/.test(poison)

export function servePoison(poison: Poison, res: ServerResponse): void {
  const { socket } = res
  if (!socket || socket.destroyed) return
  socket.on('error', () => {}) // The other side has had enough, as it should.
  poisons[poison](socket)
}

function drip(socket: Socket, next: () => string, everyMs: number): void {
  const timer = setInterval(() => socket.write(next()), everyMs)
  socket.once('close', () => clearInterval(timer))
}

const reset = (socket: Socket) => void socket.resetAndDestroy()
