/** HTTP as bytes on a socket, for what no client would send and no server would answer. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** All that comes back until the other end closes. Bytes go out as latin1, so that each character is one. */
export async function exchange(url: string, ...pieces: readonly string[]): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  let text = ''
  socket.on('data', (data) => (text += data.toString('latin1')))
  // A reset after a refusal says no more than the refusal.
  socket.on('error', () => {})
  const closed = once(socket, 'close')
  await once(socket, 'connect')
  for (const piece of pieces) {
    socket.write(Buffer.from(piece, 'latin1'))
    await new Promise((resolve) => setImmediate(resolve))
  }
  await closed
  return text
}

/** The status of each answer in what came back. */
export const statuses = (text: string): number[] =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))

export interface RawServer {
  /** A host root. */
  url: string
  /** Whole requests, as they came, by connection. */
  connections: string[][]
  requests(): string[]
  /** What came so far; connections stay, and what comes on them counts. */
  forget(): void
  /** Connections that are open. */
  open(): number
  close(): Promise<void>
}

/** Answers each whole request on a connection with whatever `answer` writes. */
export async function startRawServer(answer: (socket: Socket, request: string) => void): Promise<RawServer> {
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    const requests: string[] = []
    raw.connections.push(requests)
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    socket.on('error', () => {})
    let text = ''
    socket.on('data', (data) => {
      text += data.toString('latin1')
      for (let whole = wholeRequest(text); whole; whole = wholeRequest(text)) {
        text = text.slice(whole.length)
        requests.push(whole)
        answer(socket, whole)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const raw: RawServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: [],
    requests: () => raw.connections.flat(),
    forget() {
      for (const requests of raw.connections) requests.length = 0
    },
    open: () => open.size,
    async close() {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  return raw
}

/** Strict on purpose: what it does not take for the end of a request stays in front of the next one, and is seen. */
function wholeRequest(text: string): string | undefined {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(text.slice(0, end + 2))
  const whole = end + 4 + Number(length?.[1] ?? 0)
  return text.length >= whole ? text.slice(0, whole) : undefined
}
