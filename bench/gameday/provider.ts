/**
 * The model providers `a` and `b` of a game day, and its billing system, each on a port of its own and all in a thread of
 * their own. Every call carries its caller's number, by which the provider's own record, the caller's history and the
 * books are held against each other. What is said, and what it costs, follows from the number alone, so that either
 * provider can go on where the other broke off.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { seededRandom } from '../../tests/support/seeded-random.ts'
import type { Charge } from '../crash/provider.ts'
import { type Poison, servePoison } from './poison.ts'

/** What becomes of the calls to one provider. A `share` of them is picked by chance, from the seed. */
export type Mode =
  | { kind: 'well' }
  /** Nobody listens. */
  | { kind: 'refused' }
  | { kind: 'errors'; share: number; status: number; retryAfterS?: number }
  /** Takes calls and says nothing. */
  | { kind: 'hangs' }
  | { kind: 'late'; share: number; ms: number }
  /** An RST in the middle of a stream. */
  | { kind: 'resets'; share: number }
  /** What a call names as its poison is what it gets. */
  | { kind: 'poisonous' }

export type Upstream = 'a' | 'b'

/** Times are of `wallNow`. */
export interface Call {
  number: number
  /** `direct`: not through a gateway. */
  upstream: Upstream | 'direct'
  /** Which of the gateways. */
  pod: string
  at: number
  /** 0 = it said nothing. */
  status: number
  /** Tokens written. */
  sent: number
  /** The whole answer, with its usage, was written. */
  complete: boolean
  endedAt: number | undefined
  /** The other side hung up before the end. */
  abandoned: boolean
}

export interface Records {
  calls: Call[]
  /** Times of calls for the list of models, by provider. */
  lists: { upstream: Upstream | 'direct'; at: number }[]
  /** By id: an id that comes again is answered as before and charged once. */
  charges: Charge[]
  /** Ids that came again with other content. */
  contradictions: string[]
}

export interface GamedayProvider {
  /** Without `/v1`. */
  urls: Record<Upstream | 'direct' | 'billing', string>
  set(upstream: Upstream, mode: Mode): Promise<void>
  /** All so far, or since it was told to forget. */
  records(): Promise<Records>
  forget(): Promise<void>
  close(): Promise<void>
}

export interface ProviderOptions {
  /** Of a stream: so many at least, and up to 19 more. @default 30 */
  streamTokens?: number
  /** Between two tokens of a stream; 0 = as fast as they are read. @default 10 */
  tokenMs?: number
  /** @default 1 */
  seed?: number
}

type Order = { upstream: Upstream; mode: Mode } | 'records' | 'forget'

export const wallNow = () => performance.timeOrigin + performance.now()
/** Told by the provider's usage: it names the call in the books. */
export const promptTokens = (number: number) => 1_000 + number
export const answerTokens = (number: number, streamed: boolean, streamTokens: number) =>
  streamed ? streamTokens + (number % 20) : 5 + (number % 40)
export const defaultStreamTokens = 30

export async function startGamedayProvider(options: ProviderOptions = {}): Promise<GamedayProvider> {
  const worker = new Worker(new URL(import.meta.url), { workerData: options })
  const [urls] = (await once(worker, 'message')) as [GamedayProvider['urls']]
  // One order at a time: the answer is to the last one.
  let last: Promise<unknown> = Promise.resolve()
  const tell = <T>(order: Order): Promise<T> => {
    const asked = last.then(async () => {
      const answered = once(worker, 'message')
      worker.postMessage(order)
      return (await answered)[0] as T
    })
    last = asked
    return asked
  }
  return {
    urls,
    set: (upstream, mode) => tell({ upstream, mode }),
    records: () => tell('records'),
    forget: () => tell('forget'),
    close: async () => void (await worker.terminate()),
  }
}

interface Body {
  messages?: { content: string }[]
  stream?: boolean
}

async function serve({ streamTokens = defaultStreamTokens, tokenMs = 10, seed = 1 }: ProviderOptions) {
  const random = seededRandom(seed)
  const calls: Call[] = []
  const lists: Records['lists'] = []
  const charges = new Map<string, Charge>()
  const contradictions: string[] = []
  const modes: Record<Upstream | 'direct', Mode> = {
    a: { kind: 'well' },
    b: { kind: 'well' },
    direct: { kind: 'well' },
  }

  async function answer(upstream: Upstream | 'direct', req: IncomingMessage, res: ServerResponse) {
    const at = wallNow()
    const mode = modes[upstream]
    const isList = req.method === 'GET'
    if (isList) lists.push({ upstream, at })
    const { messages = [], stream = false } = isList ? {} : ((await json(req)) as Body)
    const [, number = '-1', poison] = /^n(\d+) (\w*):/.exec(messages[0]?.content ?? '') ?? []
    const call: Call = {
      number: Number(number),
      upstream,
      pod: String(req.headers['x-pod'] ?? ''),
      at,
      status: 0,
      sent: 0,
      complete: false,
      endedAt: undefined,
      abandoned: false,
    }
    if (!isList) calls.push(call)
    let resetHere = false
    res.once('close', () => {
      call.endedAt = wallNow()
      call.abandoned = !res.writableFinished && !resetHere
    })
    const hit = 'share' in mode && random() < mode.share
    if (mode.kind === 'hangs') return
    if (hit && mode.kind === 'late') await new Promise((resolve) => setTimeout(resolve, mode.ms))
    if (hit && mode.kind === 'errors') {
      call.status = mode.status
      return refuse(res, mode.status, mode.retryAfterS)
    }
    call.status = 200
    if (isList) return send(res, 200, '{"object":"list","data":[]}')
    if (poison && mode.kind === 'poisonous') {
      resetHere = true
      call.sent = Infinity
      return servePoison(poison as Poison, res)
    }
    const tokens = answerTokens(call.number, stream, streamTokens)
    if (!stream) {
      call.sent = tokens
      call.complete = true
      return send(res, 200, wholeAnswer(call.number, tokens))
    }
    const cutAt = hit && mode.kind === 'resets' ? 1 + Math.floor(random() * (tokens - 1)) : Infinity
    const ended = await writeStream(call, tokens, cutAt, res)
    if (ended === 'cut') {
      resetHere = true
      req.socket.resetAndDestroy()
    }
  }

  async function writeStream(call: Call, tokens: number, cutAt: number, res: ServerResponse): Promise<'whole' | 'cut'> {
    const { number } = call
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    res.write(event([{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }]))
    for (let nth = 1; nth <= tokens; nth++) {
      if (res.destroyed) return 'whole'
      const flowing = res.write(event([{ index: 0, delta: { content: ` w${nth}` }, finish_reason: null }]))
      call.sent++
      if (nth === cutAt) return 'cut'
      if (tokenMs > 0) await new Promise((resolve) => setTimeout(resolve, tokenMs))
      else if (!flowing) await Promise.race([once(res, 'drain'), once(res, 'close')])
    }
    res.write(event([{ index: 0, delta: {}, finish_reason: 'stop' }]))
    res.write(event([], usageOf(number, tokens)))
    if (!res.destroyed) call.complete = true
    res.end('data: [DONE]\n\n')
    return 'whole'
  }

  const listeners = {
    a: await listener((req, res) => answer('a', req, res)),
    b: await listener((req, res) => answer('b', req, res)),
    direct: await listener((req, res) => answer('direct', req, res)),
    billing: await listener(async (req, res) => {
      charge(charges, contradictions, (await json(req)) as ChargeBody, res)
    }),
  }

  parentPort?.on('message', async (order: Order) => {
    if (order === 'records') {
      return parentPort?.postMessage({ calls, lists, charges: [...charges.values()], contradictions } satisfies Records)
    }
    if (order === 'forget') {
      calls.length = 0
      lists.length = 0
      charges.clear()
      return parentPort?.postMessage('done')
    }
    const { upstream, mode } = order
    modes[upstream] = mode
    await listeners[upstream].listening(mode.kind !== 'refused')
    parentPort?.postMessage('done')
  })
  parentPort?.postMessage({
    a: listeners.a.url,
    b: listeners.b.url,
    direct: listeners.direct.url,
    billing: listeners.billing.url,
  } satisfies GamedayProvider['urls'])
}

async function listener(handle: (req: IncomingMessage, res: ServerResponse) => Promise<unknown>) {
  const server: Server = createServer({ keepAliveTimeout: 60_000 }, (req, res) => {
    handle(req, res).catch(() => res.destroy()) // The caller has left.
  })
  const listen = async (port: number) => {
    server.listen({ port, host: '127.0.0.1', backlog: 4_096 })
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }
  const port = await listen(0)
  return {
    url: `http://127.0.0.1:${port}`,
    async listening(wanted: boolean) {
      if (wanted === server.listening) return
      if (wanted) return void (await listen(port))
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

const envelope = { id: 'chatcmpl-gameday', created: 1_760_000_000, model: 'm' }
const event = (choices: object[], usage?: object) =>
  `data: ${JSON.stringify({ ...envelope, object: 'chat.completion.chunk', choices, ...(usage && { usage }) })}\n\n`

function usageOf(number: number, tokens: number) {
  const prompt = promptTokens(number)
  return { prompt_tokens: prompt, completion_tokens: tokens, total_tokens: prompt + tokens }
}

function wholeAnswer(number: number, tokens: number): string {
  const message = { role: 'assistant', content: 'word '.repeat(tokens) }
  const choices = [{ index: 0, message, finish_reason: 'stop' }]
  return JSON.stringify({ ...envelope, object: 'chat.completion', choices, usage: usageOf(number, tokens) })
}

const refuse = (res: ServerResponse, status: number, retryAfterS?: number) => {
  if (retryAfterS !== undefined) res.setHeader('retry-after', String(retryAfterS))
  send(res, status, '{"error":{"message":"Not now.","type":"server_error","param":null,"code":null}}')
}

function send(res: ServerResponse, status: number, body: string) {
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }).end(body)
}

interface ChargeBody {
  id: string
  amount_micro_usd: number
  detail: { operations: { id: string; amount_micro_usd: number }[] }
}

function charge(charges: Map<string, Charge>, contradictions: string[], body: ChargeBody, res: ServerResponse) {
  const operations = body.detail.operations.map(({ id, amount_micro_usd }) => ({ id, amount: amount_micro_usd }))
  const made: Charge = { id: body.id, amount: body.amount_micro_usd, operations }
  const known = charges.get(body.id)
  if (known && JSON.stringify(known) !== JSON.stringify(made)) contradictions.push(body.id)
  charges.set(body.id, known ?? made)
  send(res, 200, JSON.stringify({ transaction_id: `tx-${body.id}` }))
}

if (!isMainThread) await serve(workerData)
