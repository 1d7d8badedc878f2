/**
 * A provider that breaks on purpose: OpenAI's chat completions over a real socket, and for each model name a conduct.
 * It keeps a record of every call it gets, by which the gateway is judged.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { answerWords, piecesAfter, promptTokens } from './answer.ts'

/** What becomes of one call. Times in ms; words are counted from 1 over the whole answer. */
export type Conduct =
  | { kind: 'answer'; fault?: StreamFault }
  | { kind: 'error'; status: number; code?: string; retryAfterS?: number }
  /** An RST instead of headers. */
  | { kind: 'reset' }
  /** No headers for so long, and then an RST. */
  | { kind: 'silent'; ms: number }

export type StreamFault =
  /** The headers, and where `role` is set the role, come at once. */
  | { kind: 'slow_start'; ms: number; role: boolean }
  /** `reset` is an RST; `end` ends the body as if all were well. */
  | { kind: 'cut'; afterWord: number; how: 'reset' | 'end' }
  /** Says nothing more for so long, and then resets. */
  | { kind: 'stall'; afterWord: number; ms: number }
  | { kind: 'malformed'; beforeWord: number }
  /** All but `[DONE]` is sent, and the connection stays open for so long. */
  | { kind: 'no_done'; ms: number }

export interface Message {
  role: string
  content: string
}

export interface ChatBody {
  model: string
  messages: Message[]
  stream?: boolean
  stream_options?: { include_usage?: boolean }
}

/** One call, as the provider saw it. Times in ms of `performance.now()`. */
export interface Attempt {
  at: number
  /** The first part of the path, which stands for the provider's name. */
  provider: string
  model: string
  body: ChatBody
  closedAt: number | undefined
  /** The other side hung up before the end. */
  abandoned: boolean
}

export interface FaultyProvider {
  /** Without a path; providers are at `<url>/<any name>/v1`. */
  url: string
  attempts: Attempt[]
  /** Times of calls that asked for something else, such as the list of models. */
  probes: number[]
  /** Until `comeBack`: 503 to everything, or no listener at all. */
  goDown(how: 'unavailable' | 'refused'): Promise<void>
  comeBack(): Promise<void>
  close(): Promise<void>
}

export interface FaultyProviderOptions {
  /** Of the `nth` call (from 1) for a model. */
  conduct: (model: string, nth: number) => Conduct
  wordMs: number
}

/** Says the whole answer from the front, or goes on with a trailing assistant message. */
export const healthyModel = 'backup'
/** Answers a trailing assistant message with a 400. */
export const noPrefillModel = 'backup-no-prefill'

export async function startFaultyProvider({ conduct, wordMs }: FaultyProviderOptions): Promise<FaultyProvider> {
  const attempts: Attempt[] = []
  const probes: number[] = []
  let unavailable = false

  async function serve(req: IncomingMessage, res: ServerResponse) {
    const closed = new AbortController()
    let resetHere = false
    const reset = () => {
      resetHere = true
      // The kernel still delivers what was written before; what this process queues is lost.
      req.socket.resetAndDestroy()
    }
    res.once('close', () => closed.abort())
    const [, provider = '', , ...path] = (req.url ?? '').split('/')
    const isChat = req.method === 'POST' && path.join('/') === 'chat/completions'
    if (!isChat) probes.push(performance.now())
    if (!isChat && unavailable) return sendJson(res, 503, errorBody('The engine is down.', 'unavailable'))
    if (!isChat) return sendJson(res, 200, { object: 'list', data: [] })

    const at = performance.now()
    const body = (await json(req)) as ChatBody
    const { model } = body
    const attempt: Attempt = { at, provider, model, body, closedAt: undefined, abandoned: false }
    attempts.push(attempt)
    const nth = attempts.filter((one) => one.model === model && one.provider === provider).length
    res.once('close', () => {
      attempt.closedAt = performance.now()
      attempt.abandoned = !res.writableFinished && !resetHere
    })
    const chosen: Conduct = unavailable ? { kind: 'error', status: 503 } : conduct(model, nth)
    await act(chosen, { res, reset, body, wordMs, signal: closed.signal })
  }

  const server = createServer({ keepAliveTimeout: 60_000 }, (req, res) => {
    serve(req, res).catch((error) => {
      // A wait that ended because the other side hung up is what such a wait is for.
      if (!res.closed && !res.destroyed) res.destroy(error as Error)
    })
  })
  const listen = async (port: number) => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    return typeof address === 'object' && address ? address.port : port
  }
  const stopListening = async () => {
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }
  const port = await listen(0)

  return {
    url: `http://127.0.0.1:${port}`,
    attempts,
    probes,
    async goDown(how) {
      if (how === 'refused') await stopListening()
      else unavailable = true
    },
    async comeBack() {
      unavailable = false
      if (!server.listening) await listen(port)
    },
    async close() {
      if (server.listening) await stopListening()
    },
  }
}

interface Exchange {
  res: ServerResponse
  /** Ends the connection with an RST. */
  reset: () => void
  body: ChatBody
  wordMs: number
  /** Aborted when the connection is gone. */
  signal: AbortSignal
}

async function act(conduct: Conduct, exchange: Exchange): Promise<void> {
  const { res, reset, body, signal } = exchange
  switch (conduct.kind) {
    case 'reset':
      return reset()
    case 'silent':
      await sleep(conduct.ms, undefined, { signal, ref: false })
      return reset()
    case 'error': {
      const { status, code = 'faulty', retryAfterS } = conduct
      if (retryAfterS !== undefined) res.setHeader('retry-after', String(retryAfterS))
      return sendJson(
        res,
        status,
        errorBody(`The faulty provider answers ${status}.`, code, status < 500 ? undefined : 'server_error'),
      )
    }
    case 'answer': {
      const last = body.messages.at(-1)
      const begun = last?.role === 'assistant' ? last.content : ''
      if (begun && body.model.startsWith(noPrefillModel)) {
        const message = 'The conversation must end with a user message.'
        return sendJson(res, 400, errorBody(message, 'invalid_value'))
      }
      return body.stream ? stream(begun, conduct.fault, exchange) : whole(begun, exchange)
    }
  }
}

function whole(begun: string, { res, body }: Exchange) {
  const pieces = piecesAfter(begun)
  const message = { role: 'assistant', content: pieces.join('') }
  sendJson(res, 200, {
    ...envelope(body.model, 'chat.completion'),
    choices: [{ index: 0, message, finish_reason: 'stop' }],
    usage: usageOf(body, pieces.length),
  })
}

async function stream(begun: string, fault: StreamFault | undefined, { res, reset, body, wordMs, signal }: Exchange) {
  const shared = envelope(body.model, 'chat.completion.chunk')
  const send = (data: string) => res.write(`data: ${data}\n\n`)
  const chunk = (choices: object[], usage?: object) =>
    send(JSON.stringify({ ...shared, choices, ...(usage && { usage }) }))
  const piece = (delta: object, finish: string | null = null) => chunk([{ index: 0, delta, finish_reason: finish }])
  const wait = (ms: number) => sleep(ms, undefined, { signal, ref: false })
  const role = { role: 'assistant', content: '' }

  res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' })
  res.flushHeaders()
  if (fault?.kind === 'slow_start') {
    if (fault.role) piece(role)
    await wait(fault.ms)
  }
  if (!(fault?.kind === 'slow_start' && fault.role)) piece(role)

  const pieces = piecesAfter(begun)
  let word = answerWords - pieces.length
  for (const content of pieces) {
    await wait(wordMs)
    word++
    if (fault?.kind === 'malformed' && fault.beforeWord === word) {
      send('{"id":"chatcmpl-faulty","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" w')
    }
    piece({ content })
    if (fault?.kind === 'cut' && fault.afterWord === word) {
      await wait(wordMs)
      return fault.how === 'reset' ? reset() : void res.end()
    }
    if (fault?.kind === 'stall' && fault.afterWord === word) {
      await wait(fault.ms)
      return reset()
    }
  }
  piece({}, 'stop')
  if (body.stream_options?.include_usage) chunk([], usageOf(body, pieces.length))
  if (fault?.kind === 'no_done') {
    await wait(fault.ms)
    return reset()
  }
  send('[DONE]')
  res.end()
}

const envelope = (model: string, object: string) => ({ id: `chatcmpl-${model}`, object, created: 1_760_000_000, model })

function usageOf({ model }: ChatBody, completionTokens: number) {
  const prompt = model.startsWith(healthyModel) ? promptTokens.spare : promptTokens.primary
  return { prompt_tokens: prompt, completion_tokens: completionTokens, total_tokens: prompt + completionTokens }
}

const errorBody = (message: string, code: string, type = 'invalid_request_error') => ({
  error: { message, type, param: null, code },
})

function sendJson(res: ServerResponse, status: number, value: object) {
  const text = JSON.stringify(value)
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text)
}
