/** Callers of a rollout: short requests at fixed times, and streams of which the next begins as soon as one has ended. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Pool } from 'undici'
import { chatRequest, streamEnding, streamRequest } from '../answers.ts'

export interface Tally {
  whole: number
  /** By status and code, by what broke, or `cut` where the answer ended early. */
  failed: Record<string, number>
}

export interface RollingLoad {
  requests: Tally
  streams: Tally
  /** Streams whose answer is under way. */
  live(): number
  /** Begins no more, and waits for the answers. */
  end(): Promise<void>
}

interface LoadOptions {
  url: string
  key: string
  requestsPerSecond: number
  streams: number
}

const tickMs = 5
const answerTimeoutMs = 60_000

export function startLoad({ url, key, requestsPerSecond, streams }: LoadOptions): RollingLoad {
  // Without keep-alive: a connection that nginx closes while a request comes on it would be no word on the gateway.
  const timeouts = { headersTimeout: answerTimeoutMs, bodyTimeout: answerTimeoutMs }
  const pool = new Pool(url, { connections: null, pipelining: 0, ...timeouts })
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` }
  const tallies = { requests: newTally(), streams: newTally() }
  const ending = new AbortController()
  let live = 0

  /** Never rejects: how it ended is in the tally. */
  async function one(tally: Tally, body: string, ending = '', onBegin = () => {}): Promise<void> {
    try {
      const answer = await pool.request({ method: 'POST', path: '/v1/chat/completions', headers, body })
      if (answer.statusCode === 200) onBegin()
      const text = await answer.body.text()
      if (answer.statusCode !== 200) fail(tally, `${answer.statusCode} ${/"code":\s*"(\w+)"/.exec(text)?.[1] ?? ''}`)
      else if (text.endsWith(ending)) tally.whole++
      else fail(tally, 'cut')
    } catch (error) {
      fail(tally, (error as NodeJS.ErrnoException).code ?? 'broken')
    }
  }

  async function requestAll() {
    const startedAt = performance.now()
    const underWay: Promise<void>[] = []
    while (!ending.signal.aborted) {
      const due = ((performance.now() - startedAt) * requestsPerSecond) / 1000
      while (underWay.length < due) underWay.push(one(tallies.requests, chatRequest))
      await sleep(tickMs)
    }
    await Promise.all(underWay)
  }

  async function streamOn() {
    while (!ending.signal.aborted) {
      let begun = false
      await one(tallies.streams, streamRequest, streamEnding, () => {
        begun = true
        live++
      })
      if (begun) live--
      // One that is refused is not asked for again at once.
      else await sleep(100)
    }
  }

  const all = Promise.all([requestAll(), ...Array.from({ length: streams }, streamOn)])
  return {
    ...tallies,
    live: () => live,
    async end() {
      ending.abort()
      await all
      await pool.close()
    },
  }
}

const newTally = (): Tally => ({ whole: 0, failed: {} })

function fail({ failed }: Tally, kind: string): void {
  failed[kind] = (failed[kind] ?? 0) + 1
}
