/** Sends chat completions at times fixed in advance, or all at once, and keeps how each of them ended. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'
import { sendTimes } from '../open-loop.ts'
import { apiKey } from '../systems.ts'
import { wallNow } from './provider.ts'

export interface Sent {
  /** In ms since 1970. */
  at: number
  ms: number
  /** 0 = no answer. */
  status: number
  /** The answer came whole. */
  ok: boolean
  /** Tries, as the gateway tells them. */
  tries: number
  /** Of an error answer, or what broke. */
  code: string | undefined
}

export interface Caller {
  /** Opens all connections with what costs the gateway least, so that later only answers are waited for. */
  connect(): Promise<void>
  send(model: string, options?: { user?: string; stream?: boolean }): Promise<Sent>
  /** `rate` a second for so long; answers once all have ended. */
  sendFor(seconds: number, rate: number, model: string, options?: { streamEvery?: number }): Promise<Sent[]>
  close(): Promise<void>
}

const answerTimeoutMs = 60_000
const codeOf = (text: string) => /"code":\s*"(\w+)"/.exec(text)?.[1] ?? 'cut'

/** `12 x circuit_open, ...`: what those heard that got no answer. */
export function failuresOf(sent: readonly Sent[]): string {
  const counts = Object.entries(
    Object.groupBy(
      sent.filter(({ ok }) => !ok),
      ({ code }) => code ?? 'nothing',
    ),
  )
  return counts.map(([code, all]) => `${all?.length} x ${code}`).join(', ') || 'none'
}

/** The last bytes of a whole answer. */
const endings = { stream: 'data: [DONE]\n\n', whole: '}' }

export function createCaller(url: string, connections: number): Caller {
  const pool = new Pool(url, {
    connections,
    pipelining: 1,
    headersTimeout: answerTimeoutMs,
    bodyTimeout: answerTimeoutMs,
    keepAliveTimeout: 60_000,
  })
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` }

  const send: Caller['send'] = async (model, { user, stream = false } = {}) => {
    const messages = [{ role: 'user', content: 'Which GPU has 24 GB?' }]
    const body = JSON.stringify({ model, messages, ...(user && { user }), ...(stream && { stream }) })
    const at = wallNow()
    const ended = (status: number, ok: boolean, tries = 0, code?: string): Sent => {
      return { at, ms: wallNow() - at, status, ok, tries, code }
    }
    try {
      const answer = await pool.request({ method: 'POST', path: '/v1/chat/completions', headers, body })
      const text = await answer.body.text()
      const ok = answer.statusCode === 200 && text.endsWith(stream ? endings.stream : endings.whole)
      const tries = Number(answer.headers['x-gpuproxy-attempts'] ?? 0)
      return ended(answer.statusCode, ok, tries, ok ? undefined : codeOf(text))
    } catch (error) {
      return ended(0, false, 0, (error as NodeJS.ErrnoException).code)
    }
  }

  const ask = async () => (await pool.request({ method: 'GET', path: '/livez' })).body.dump()

  return {
    connect: async () => void (await Promise.all(Array.from({ length: connections }, ask))),
    send,
    async sendFor(seconds, rate, model, { streamEvery = Infinity } = {}) {
      const since = performance.now()
      const under: Promise<Sent>[] = []
      for (const [i, time] of sendTimes(rate, seconds).entries()) {
        const waitMs = since + time - performance.now()
        // What is due within the same tick of the timers goes out together.
        if (waitMs > 1) await sleep(waitMs)
        under.push(send(model, { stream: i % streamEvery === streamEvery - 1 }))
      }
      return Promise.all(under)
    },
    close: () => pool.close(),
  }
}
