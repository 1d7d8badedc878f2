/** A provider that can be made to wait in the middle of its answers, and that knows which calls it was sent. */
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { Gate } from './gate.ts'

export interface HeldProvider {
  /** With `/v1`. */
  baseUrl: string
  /** Bodies of the calls, in their order. */
  calls: Body[]
  /** Calls whose connection was closed before they were answered. */
  cut: number
  /** Streams stop after their first event, other answers before their first byte. */
  hold(): void
  go(): void
  /** Of the next calls. */
  fail(status: number | undefined): void
  close(): void
}

interface Body {
  model: string
  stream?: boolean
  stream_options?: { include_usage?: boolean }
}

const event = (value: object) => `data: ${JSON.stringify({ id: 'chatcmpl-held', ...value })}\n\n`
const delta = (delta: object, finish_reason: string | null = null) =>
  event({ object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason }] })
const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }

/** The words of an answer: of the model `words-<n>` so many, else two. */
const textOf = (model: string) => 'größe '.repeat(Number(/^words-(\d+)$/.exec(model)?.[1] ?? 2))

export async function startHeldProvider(): Promise<HeldProvider> {
  const gate = new Gate()
  let status: number | undefined
  const server = createServer(async (req, res) => {
    const body = (await json(req)) as Body
    provider.calls.push(body)
    res.on('close', () => {
      if (!res.writableFinished) provider.cut++
    })
    if (status !== undefined) return void send(res, status, { error: { message: 'as you wish', type: 'test' } })
    const content = textOf(body.model)
    if (!body.stream) {
      await gate.open()
      const message = { role: 'assistant', content }
      return void send(res, 200, {
        id: 'chatcmpl-held',
        choices: [{ index: 0, message, finish_reason: 'stop' }],
        usage,
      })
    }
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    res.write(delta({ role: 'assistant', content: 'a ' }))
    await gate.open()
    res.write(delta({ content }))
    res.write(delta({}, 'stop'))
    if (body.stream_options?.include_usage) res.write(event({ choices: [], usage }))
    res.end('data: [DONE]\n\n')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const provider: HeldProvider = {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    calls: [],
    cut: 0,
    hold: () => gate.hold(),
    go: () => gate.go(),
    fail(next) {
      status = next
    },
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
  return provider
}

function send(res: ServerResponse, status: number, value: object) {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}
