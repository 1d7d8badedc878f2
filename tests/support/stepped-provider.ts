/** A provider whose streams go on only when they are told to, event by event. */
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

export interface SteppedProvider {
  /** With `/<name>/v1`, where each name is a provider of its own. */
  baseUrl(name: string): string
  /** The next call, once it has come whole. */
  next(): Promise<SteppedCall>
  close(): void
}

export interface SteppedCall {
  name: string
  body: string
  /** An event of a stream; begins it. */
  send(data: object | '[DONE]'): void
  end(): void
  /** The connection breaks. What was sent before arrives. */
  cut(): void
  /** An answer in one piece, instead. */
  answer(status: number, headers?: Record<string, string>, body?: object): void
  /** The gateway has hung up, or the answer has ended. */
  closed: Promise<unknown>
}

export async function startSteppedProvider(): Promise<SteppedProvider> {
  const calls: SteppedCall[] = []
  const waiting: ((call: SteppedCall) => void)[] = []
  const server = createServer(async (req, res) => {
    const call = callOf(req.url!.split('/')[1]!, await text(req), res)
    const first = waiting.shift()
    if (first) first(call)
    else calls.push(call)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    baseUrl: (name) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/${name}/v1`,
    next() {
      const call = calls.shift()
      return call ? Promise.resolve(call) : new Promise((resolve) => waiting.push(resolve))
    },
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

const callOf = (name: string, body: string, res: ServerResponse): SteppedCall => ({
  name,
  body,
  send(data) {
    if (!res.headersSent) res.writeHead(200, { 'content-type': 'text/event-stream' })
    res.write(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`)
  },
  end: () => void res.end(),
  cut: () => void res.write('\n', () => res.destroy()),
  answer: (status, headers, body = { error: { message: 'no' } }) =>
    void res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body)),
  closed: once(res, 'close'),
})
