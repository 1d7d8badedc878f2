/** A provider, and a billing system, that keep their own record of what they were asked: what the books are held against. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ProviderCall {
  /** The caller's own number for it, which stands in the prompt. */
  id: number
  streamed: boolean
  /** Tokens written to the gateway. */
  sent: number
  /** The whole answer, with its usage, was written. */
  complete: boolean
}

export interface Charge {
  id: string
  amount: number
  operations: { id: string; amount: number }[]
}

export interface RecordingProvider {
  baseUrl: string
  billingUrl: string
  calls: ProviderCall[]
  /** By id: an id that comes again is answered as before and charged once. */
  charges: Map<string, Charge>
  /** Ids that came again with other content. */
  contradictions: string[]
  close(): Promise<void>
}

/** Prompts are as long as their call's number says, so that an estimate tells which call it is of. */
export const promptTokens = (id: number) => 1_000 + id
export const answerTokens = (id: number) => 20 + (id % 180)
const tokenMs = 1

export async function startRecordingProvider(): Promise<RecordingProvider> {
  const calls: ProviderCall[] = []
  const charges = new Map<string, Charge>()
  const contradictions: string[] = []
  const server = createServer((request, response) => {
    void read(request).then((body) => {
      if (request.url?.endsWith('/chat/completions')) return answer(calls, JSON.parse(body), response)
      if (request.url?.endsWith('/charges')) return charge(charges, contradictions, JSON.parse(body), response)
      response.writeHead(404).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const root = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    baseUrl: `${root}/v1`,
    billingUrl: root,
    calls,
    charges,
    contradictions,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

function answer(
  calls: ProviderCall[],
  body: { stream?: boolean; messages: { content: string }[] },
  response: ServerResponse,
) {
  const id = Number(/^call (\d+)/.exec(body.messages[0]!.content)?.[1])
  const call: ProviderCall = { id, streamed: body.stream === true, sent: 0, complete: false }
  calls.push(call)
  const output = answerTokens(id)
  const usage = { prompt_tokens: promptTokens(id), completion_tokens: output, total_tokens: promptTokens(id) + output }
  if (!call.streamed) {
    setTimeout(() => {
      call.sent = output
      call.complete = true
      response.writeHead(200, { 'content-type': 'application/json' })
      const message = { role: 'assistant', content: 'word '.repeat(output) }
      response.end(JSON.stringify({ choices: [{ index: 0, message, finish_reason: 'stop' }], usage }))
    }, output / 4)
    return
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const event = (value: unknown) => response.write(`data: ${JSON.stringify(value)}\n\n`)
  const next = () => {
    if (response.destroyed) return
    if (call.sent < output) {
      event({ choices: [{ index: 0, delta: { content: 'word ' }, finish_reason: null }] })
      call.sent++
      setTimeout(next, tokenMs)
      return
    }
    event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })
    event({ choices: [], usage })
    call.complete = true
    response.end('data: [DONE]\n\n')
  }
  next()
}

function charge(
  charges: Map<string, Charge>,
  contradictions: string[],
  body: { id: string; amount_micro_usd: number; detail: { operations: { id: string; amount_micro_usd: number }[] } },
  response: ServerResponse,
) {
  const operations = body.detail.operations.map(({ id, amount_micro_usd }) => ({ id, amount: amount_micro_usd }))
  const made: Charge = { id: body.id, amount: body.amount_micro_usd, operations }
  const known = charges.get(body.id)
  if (known && JSON.stringify(known) !== JSON.stringify(made)) contradictions.push(body.id)
  charges.set(body.id, known ?? made)
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ transaction_id: `tx-${body.id}` }))
}
