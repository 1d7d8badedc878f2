/** Requests of several kinds at times fixed in advance; each keeps how it ended, in ms after the load began. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Dispatcher, Pool } from 'undici'
import { sendTimes } from '../open-loop.ts'
import { percentile } from '../statistics.ts'
import { apiKey } from '../systems.ts'
import { wallNow } from './provider.ts'

export interface Kind {
  name: string
  perSecond: number
  method: 'GET' | 'POST'
  path: string
  /** One that is made of the request's number is a paid call: the number is in the provider's record, too. */
  body?: string | ((number: number) => string)
  /** The last bytes of a whole answer. */
  ending?: string
  /** The key to send with. @default the administrator's, for every request */
  key?: (nth: number) => string
  headers?: (number: number) => Record<string, string>
  /** After how many pieces of its answer the caller hangs up; undefined = it stays. */
  leavesAfter?: (nth: number) => number | undefined
}

export interface Sent {
  kind: string
  /** Of a paid call; undefined = the provider has no part in it. */
  number: number | undefined
  /** When it was to be sent. */
  at: number
  /** From then until its last byte. */
  ms: number
  /** From then until its first byte. */
  firstMs: number
  /** How late the generator was. */
  lagMs: number
  /** 0 = no answer. */
  status: number
  /** A 2xx whose body came whole. */
  whole: boolean
  /** Of an error answer, or what broke. */
  code: string | undefined
  /** The id of the request that did the work; undefined = no answer said so. */
  requestId: string | undefined
  /** As the gateway tells. */
  tries: number
  retryAfter: string | undefined
  /** Pieces of text that came. */
  received: number
  /** When the caller hung up, of `wallNow`. */
  leftAt: number | undefined
  /** Nothing of a 2xx that is not whole told its caller so. */
  silentlyCut: boolean
}

export interface Load {
  /** In ms since the load began. */
  now(): number
  done: Promise<Sent[]>
  /** Sends nothing more. */
  stop(): Promise<Sent[]>
  /** All that has ended, those before the load began included. */
  history: readonly Sent[]
}

export interface LoadOptions {
  /** @default true */
  keepAlive?: boolean
  /** To each gateway; a caller that waits for one is part of a closed loop. @default 256 */
  connections?: number
  /** Bursts beforehand, which may be more than a gateway takes at once. @default true */
  warmUp?: boolean
}

const answerTimeoutMs = 30_000
/** Of each kind at once. */
const warmUps = 64
/** A stream takes seconds; the others are sent so often that the code is compiled. */
const warmUpRounds = (kind: Kind) => (kind.name === 'chat' || kind.name === 'good' ? 12 : 1)
const codeOf = (text: string) => /"code":\s*"(\w+)"/.exec(text)?.[1]
const piecesIn = (text: string) => text.split('"content":" w').length - 1

/** Numbers are given once in a process, whatever runs are made in it. */
let lastNumber = 0

/** Of several gateways each is asked in turn, of those that there are at the time. */
export async function startLoad(
  urls: string | readonly string[] | (() => readonly string[]),
  kinds: readonly Kind[],
  seconds: number,
  { keepAlive = true, connections = 256, warmUp = true }: LoadOptions = {},
): Promise<Load> {
  const timeouts = { headersTimeout: answerTimeoutMs, bodyTimeout: answerTimeoutMs, keepAliveTimeout: 60_000 }
  const persistence = keepAlive ? { connections, pipelining: 1 } : { connections: null, pipelining: 0 }
  const pools = new Map<string, Pool>()
  const poolFor = (nth: number) => {
    const all = typeof urls === 'function' ? urls() : [urls].flat()
    const url = all[nth % all.length]!
    const known = pools.get(url)
    if (known) return known
    const made = new Pool(url, { ...persistence, ...timeouts })
    pools.set(url, made)
    return made
  }
  const history: Sent[] = []
  let stopped = false

  async function send(kind: Kind, nth: number, due: number): Promise<Sent> {
    const { name, method, path, body, ending = '', key, leavesAfter } = kind
    const number = typeof body === 'function' ? ++lastNumber : undefined
    const sent: Sent = {
      ...{ kind: name, number, at: due, ms: 0, firstMs: Number.NaN, lagMs: now() - due, status: 0, whole: false },
      ...{ code: undefined, requestId: undefined, tries: 0, retryAfter: undefined, received: 0, leftAt: undefined },
      silentlyCut: false,
    }
    const headers = {
      'content-type': 'application/json',
      authorization: `Bearer ${key?.(nth) ?? apiKey}`,
      ...kind.headers?.(number ?? nth),
    }
    try {
      const answer = await poolFor(nth).request({
        method,
        path,
        headers,
        ...(body !== undefined && { body: typeof body === 'function' ? body(number!) : body }),
      })
      takeHead(sent, answer)
      const text = await read(answer.body, leavesAfter?.(nth))
      if (text === undefined) {
        sent.leftAt = wallNow()
        sent.code = 'left'
      } else {
        sent.whole = sent.status < 300 && text.trimEnd().endsWith(ending)
        sent.silentlyCut = sent.status < 300 && !sent.whole && !text.includes('"error"')
        if (!sent.whole) sent.code = codeOf(text) ?? 'cut'
      }
    } catch (error) {
      sent.code = (error as NodeJS.ErrnoException).code ?? 'broken'
    }
    sent.ms = now() - due
    history.push(sent)
    return sent

    /** Undefined = the caller has hung up. */
    async function read(body: Dispatcher.ResponseData['body'], leaveAfter: number | undefined) {
      if (method === 'GET') return body.text()
      const decoder = new TextDecoder()
      let text = ''
      for await (const chunk of body) {
        if (text === '') sent.firstMs = now() - due
        const piece = decoder.decode(chunk as Uint8Array, { stream: true })
        text += piece
        sent.received += piecesIn(piece)
        if (leaveAfter !== undefined && sent.received >= leaveAfter) return undefined
      }
      // Pieces are counted as they come; one that two chunks share is counted here.
      sent.received = piecesIn(text)
      return text
    }
  }

  let startedAt = performance.now()
  const now = () => performance.now() - startedAt
  // Connections are open and the code is compiled before anything counts.
  for (const kind of warmUp ? kinds : []) {
    for (let round = 0; round < warmUpRounds(kind); round++) {
      await Promise.all(Array.from({ length: warmUps }, (_, i) => send(kind, round * warmUps + i, 0)))
    }
  }
  startedAt = performance.now()

  const plan = kinds
    .flatMap((kind) => [...sendTimes(kind.perSecond, seconds)].map((at, nth) => ({ kind, nth, at })))
    .sort((a, b) => a.at - b.at)
  const run = async () => {
    const all: Promise<Sent>[] = []
    for (const { kind, nth, at } of plan) {
      if (stopped) break
      const waitMs = at - now()
      if (waitMs > 1) await sleep(waitMs)
      all.push(send(kind, nth, at))
    }
    const sent = await Promise.all(all)
    await Promise.all([...pools.values()].map((pool) => pool.destroy()))
    return sent
  }
  const done = run()
  return {
    now,
    done,
    history,
    stop() {
      stopped = true
      return done
    },
  }
}

function takeHead(sent: Sent, { statusCode, headers }: Dispatcher.ResponseData) {
  const header = (name: string) => (headers[name] === undefined ? undefined : String(headers[name]))
  sent.status = statusCode
  sent.requestId = header('x-gpuproxy-original-request-id') ?? header('x-request-id')
  sent.tries = Number(header('x-gpuproxy-attempts') ?? 0)
  sent.retryAfter = header('retry-after')
}

export const between = (sent: readonly Sent[], fromMs: number, toMs: number) =>
  sent.filter(({ at }) => at >= fromMs && at < toMs)
export const ofKind = (sent: readonly Sent[], ...kinds: string[]) => sent.filter(({ kind }) => kinds.includes(kind))
export const shareOf = (sent: readonly Sent[], holds: (sent: Sent) => boolean) =>
  sent.length === 0 ? Number.NaN : sent.filter(holds).length / sent.length
export const p99Of = (values: readonly number[]) =>
  percentile(
    values.toSorted((a, b) => a - b),
    99,
  )
export const p99 = (sent: readonly Sent[]) => p99Of(sent.map(({ ms }) => ms))
/** A correct answer, or a refusal that the docs tell of. */
export const isSuccess = ({ whole, status, leftAt }: Sent) =>
  whole || leftAt !== undefined || [402, 429, 503].includes(status)
/** `12 x 503 read_only, …`, without the whole answers. */
export function othersOf(sent: readonly Sent[]): string {
  const groups = Object.entries(
    Object.groupBy(
      sent.filter(({ whole }) => !whole),
      ({ status, code }) => `${status} ${code ?? ''}`,
    ),
  )
  return groups.map(([what, all]) => `${all?.length} x ${what}`).join(', ') || 'none'
}

/** Whole seconds after `fromMs` until the first second from which on each second `meets`. Infinity = it never does. */
export function recoverySeconds(sent: readonly Sent[], fromMs: number, meets: (second: readonly Sent[]) => boolean) {
  const seconds = Object.groupBy(
    sent.filter(({ at }) => at >= fromMs),
    ({ at }) => Math.floor((at - fromMs) / 1_000),
  )
  const all = Object.entries(seconds).map(([second, part]) => ({ second: Number(second), good: meets(part ?? []) }))
  const last = Math.max(-1, ...all.map(({ second }) => second))
  const lastBad = Math.max(-1, ...all.filter(({ good }) => !good).map(({ second }) => second))
  return lastBad === last ? Infinity : lastBad + 1
}
