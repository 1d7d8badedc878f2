/** An origin behind the edge, on a real socket: what it answers is handed in, and what it was asked is kept. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { text } from 'node:stream/consumers'

export interface Question {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: string
}

export interface Origin {
  url: string
  asked: Question[]
  /** Ends it as a crash does: open connections are reset, new ones refused. */
  kill(): Promise<void>
}

export type Answering = (question: Question, answer: ServerResponse) => void
export type Upgrading = (request: IncomingMessage, socket: Socket, head: Buffer) => void

export async function startOrigin(answer: Answering, upgrade?: Upgrading): Promise<Origin> {
  const asked: Question[] = []
  const sockets = new Set<Socket>()
  const server = createServer(async (request, response) => {
    const body = await text(request).catch(() => '')
    const question = { method: request.method ?? '', path: request.url ?? '', headers: request.headers, body }
    asked.push(question)
    answer(question, response)
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  if (upgrade) server.on('upgrade', (request, socket, head) => upgrade(request, socket as Socket, head))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    async kill() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.resetAndDestroy()
      await closed
    },
  }
}

export const json = (answer: ServerResponse, body: unknown, headers: Record<string, string> = {}, status = 200) =>
  answer.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
