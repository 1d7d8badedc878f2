/** Requests of several kinds at times fixed in advance; each keeps how it ended, in ms after the load began. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'
import { sendTimes } from '../open-loop.ts'
import { percentile } from '../statistics.ts'
import { apiKey } from '../systems.ts'

export interface Kind {
  name: string
  perSecond: number
  method: 'GET' | 'POST'
  path: string
  body?: string
  /** The last bytes of a whole answer. */
  ending?: string
  /** The key to send with. @default the administrator's, for every request */
  key?: (nth: number) => string
}

export interface Sent {
  kind: string
  /** When it was to be sent. */
  at: number
  /** From then until its last byte. */
  ms: number
  /** How late the generator was. */
  lagMs: number
  /** 0 = no answer. */
  status: number
  /** A 2xx whose body came whole. */
  whole: boolean
  /** Of an error answer, or what broke. */
  code: string | undefined
}

export interface Load {
  /** In ms since the load began. */
  now(): number
  done: Promise<Sent[]>
  /** Sends nothing more. */
  stop(): Promise<Sent[]>
  /** Ids of all POSTs that were answered with a 2xx, those before the load began included. */
  servedIds: ReadonlySet<string>
}

const answerTimeoutMs = 30_000
const connections = 128
/** Of each kind at once. */
const warmUps = 64
/** A stream takes seconds; the others are sent so often that the code is compiled. */
const warmUpRounds = (kind: Kind) => (kind.name === 'stream' ? 1 : 12)
const codeOf = (text: string) => /"code":\s*"(\w+)"/.exec(text)?.[1]

/** Of several gateways each is asked in turn. */
export async function startLoad(
  urls: string | readonly string[],
  kinds: readonly Kind[],
  seconds: number,
): Promise<Load> {
  const timeouts = { headersTimeout: answerTimeoutMs, bodyTimeout: answerTimeoutMs, keepAliveTimeout: 60_000 }
  const pools = [urls].flat().map((url) => new Pool(url, { connections, pipelining: 1, ...timeouts }))
  let stopped = false

  const servedIds = new Set<string>()

  async function send({ name, method, path, body, ending = '', key }: Kind, nth: number, due: number): Promise<Sent> {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${key?.(nth) ?? apiKey}` }
    const lagMs = now() - due
    const ended = (status: number, whole: boolean, code?: string): Sent => {
      return { kind: name, at: due, ms: now() - due, lagMs, status, whole, code }
    }
    try {
      const answer = await pools[nth % pools.length]!.request({
        method,
        path,
        headers,
        ...(body !== undefined && { body }),
      })
      if (method === 'POST' && answer.statusCode < 300) servedIds.add(String(answer.headers['x-request-id']))
      const text = await answer.body.text()
      const whole = answer.statusCode < 300 && text.trimEnd().endsWith(ending)
      return ended(answer.statusCode, whole, whole ? undefined : (codeOf(text) ?? 'cut'))
    } catch (error) {
      return ended(0, false, (error as NodeJS.ErrnoException).code ?? 'broken')
    }
  }

  let startedAt = performance.now()
  const now = () => performance.now() - startedAt
  // Connections are open and the code is compiled before anything counts.
  for (const kind of kinds) {
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
      if (at - now() > 1) await sleep(at - now())
      all.push(send(kind, nth, at))
    }
    const sent = await Promise.all(all)
    await Promise.all(pools.map((pool) => pool.close()))
    return sent
  }
  const done = run()
  return {
    now,
    done,
    servedIds,
    stop() {
      stopped = true
      return done
    },
  }
}

export const between = (sent: readonly Sent[], fromMs: number, toMs: number) =>
  sent.filter(({ at }) => at >= fromMs && at < toMs)
export const ofKind = (sent: readonly Sent[], ...kinds: string[]) => sent.filter(({ kind }) => kinds.includes(kind))
export const shareOf = (sent: readonly Sent[], holds: (sent: Sent) => boolean) =>
  sent.length === 0 ? Number.NaN : sent.filter(holds).length / sent.length
export const p99 = (sent: readonly Sent[]) =>
  percentile(
    sent.map(({ ms }) => ms).sort((a, b) => a - b),
    99,
  )
/** A correct answer, or a refusal that the docs tell of. */
export const isSuccess = ({ whole, status }: Sent) => whole || [402, 429, 503].includes(status)
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
