/**
 * Many streams at once, opened evenly over some seconds, over plain sockets: a client's own work for each event would be
 * most of what is measured. Reads its order from STREAM_ORDER and prints one JSON result.
 */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { percentile } from './statistics.ts'

export interface StreamOrder {
  url: string
  path: string
  headers: Record<string, string>
  body: string
  streams: number
  rampSeconds: number
  /** What only the first token's event holds. */
  firstToken: string
  /** What a whole stream's last bytes are. */
  ending: string
  /** After the last was opened; then what is still open is closed. */
  holdSeconds: number
}

interface Spread {
  p50: number
  p99: number
  max: number
}

export interface StreamResult {
  /** Of which a first token was seen. */
  begun: number
  whole: number
  /** Closed by us at the end, in good health. */
  unfinished: number
  refused: Record<string, number>
  failed: Record<string, number>
  events: number
  /** From the request to the first token. */
  firstMs: Spread
  /** Between two events after it. */
  gapMs: Spread
  /** How late the requests were sent. */
  lagMs: Spread
}

const eventStart = Buffer.from('data: ')
/** Framing that may follow the last event. */
const tailBytes = 64

async function run(order: StreamOrder): Promise<StreamResult> {
  const { hostname, port } = new URL(order.url)
  const lines = Object.entries({ ...order.headers, 'content-length': Buffer.byteLength(order.body) })
  const request = `POST ${order.path} HTTP/1.1\r\nhost: ${hostname}\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${order.body}`
  const first: number[] = []
  const gaps: number[] = []
  const lags: number[] = []
  const result = { begun: 0, whole: 0, unfinished: 0, events: 0 }
  const refused: Record<string, number> = {}
  const failed: Record<string, number> = {}
  const closers: (() => void)[] = []
  let open = 0
  const allClosed = Promise.withResolvers<void>()

  const openOne = () => {
    open++
    const socket = connect({ host: hostname, port: Number(port), noDelay: true })
    let sentAt = 0
    let lastAt = 0
    let hasToken = false
    let status = 0
    let tail = ''
    let settled = false
    const settle = (count: () => void) => {
      if (settled) return
      settled = true
      count()
      socket.destroy()
      if (--open === 0) allClosed.resolve()
    }
    closers.push(() => settle(() => (lastAt > 0 ? result.unfinished++ : add(failed, 'no event'))))
    socket.once('connect', () => {
      sentAt = performance.now()
      socket.write(request)
    })
    socket.on('data', (chunk) => {
      const now = performance.now()
      if (status === 0) status = Number(chunk.toString('latin1', 9, 12))
      if (status !== 200) return settle(() => add(refused, status))
      let events = 0
      for (let at = chunk.indexOf(eventStart); at >= 0; at = chunk.indexOf(eventStart, at + 1)) events++
      if (events > 0) {
        if (!hasToken && chunk.includes(order.firstToken)) {
          hasToken = true
          result.begun++
          first.push(now - sentAt)
        } else if (hasToken) gaps.push(now - lastAt)
        lastAt = now
        result.events += events
      }
      tail = (tail + chunk.toString('latin1', Math.max(0, chunk.length - tailBytes))).slice(-tailBytes)
      if (tail.includes(order.ending)) settle(() => result.whole++)
    })
    socket.on('error', (error: NodeJS.ErrnoException) => settle(() => add(failed, error.code ?? error.name)))
    socket.on('close', () => settle(() => add(failed, 'cut')))
  }

  const startedAt = performance.now()
  for (let i = 0; i < order.streams; i++) {
    const due = startedAt + (i * order.rampSeconds * 1000) / order.streams
    const wait = due - performance.now()
    if (wait > 1) await sleep(wait)
    lags.push(Math.max(0, performance.now() - due))
    openOne()
  }
  await Promise.race([allClosed.promise, sleep(order.holdSeconds * 1000)])
  for (const close of closers) close()
  return { ...result, refused, failed, firstMs: spreadOf(first), gapMs: spreadOf(gaps), lagMs: spreadOf(lags) }
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = Float64Array.from(values).sort()
  return { p50: percentile(sorted, 50), p99: percentile(sorted, 99), max: percentile(sorted, 100) }
}

function add(counts: Record<string, number>, kind: string | number): void {
  counts[kind] = (counts[kind] ?? 0) + 1
}

if (import.meta.main) console.log(JSON.stringify(await run(JSON.parse(process.env.STREAM_ORDER ?? ''))))
