/** F17: a hot key expires under load, over three gateway processes that share a real Redis. The market counts. */

import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, setGlobalDispatcher } from 'undici'
import { type SandboxServer, startSandbox } from '../../adapters/sandbox/sandbox.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { type Fleet, startFleet } from '../../tests/support/fleet.ts'
import { percentile } from '../statistics.ts'
import type { Bar, GamedayRow } from './row.ts'

const path = '/api/v1/gpu/offers?provider=vastai'
const clients = 500
/** How long the market takes for a search. */
const searchMs = 300
/** The offers' own freshness, give or take a tenth. */
const expiresMs = { from: 27_000, to: 33_000 }
const marginMs = 2_500
const mostWaitMs = 10_000

interface Sent {
  ok: boolean
  ms: number
  cache: string
}

type Market = NonNullable<Awaited<ReturnType<typeof startSandbox>>['vastai']>

export const cacheRows: GamedayRow[] = [
  {
    id: 'F17',
    title: 'herd: a hot key expires, three processes, one Redis',
    async run(say) {
      const sandbox = await startSandbox({ clock, random: Math.random, servers: ['vastai', 'ionet'] })
      const market = sandbox.vastai!
      market.setFaults([{ kind: 'slow_headers', ms: searchMs }])
      const fleet = await startFleet(3, (pod) => ({
        VASTAI_BASE_URL: market.baseUrl,
        VASTAI_API_KEY: `key-of-pod-${pod}`,
        IONET_BASE_URL: sandbox.ionet!.baseUrl,
      }))
      // A connection for each client: what waits for one is not the gateway's time.
      setGlobalDispatcher(new Agent({ connections: clients, keepAliveTimeout: 60_000 }))
      try {
        return [
          ...(await expiry(fleet, market, say)),
          ...(await cold(fleet, market, say)),
          ...(await leaderKilled(fleet, market, say)),
        ]
      } finally {
        await fleet.close()
        await sandbox.close()
      }
    },
  },
]

/** The value grows old by itself while each client asks once a second. */
async function expiry(fleet: Fleet, market: Market, say: (line: string) => void): Promise<Bar[]> {
  await all(fleet)
  const bornAt = searches(market).at(-1)!.at
  say(`waiting ${Math.round((expiresMs.from - marginMs) / 1000)} s for the key to grow old …`)
  await sleep(bornAt + expiresMs.from - marginMs - clock.now())
  const before = searches(market).length
  const sent: Sent[] = []
  const until = bornAt + expiresMs.to + marginMs
  say(`${clients} clients, each once a second, while it expires …`)
  await Promise.all(
    Array.from({ length: clients }, async (_, i) => {
      await sleep((i / clients) * 1_000)
      while (clock.now() < until) {
        const from = clock.now()
        sent.push(await ask(fleet, i))
        await sleep(Math.max(from + 1_000 - clock.now(), 0))
      }
    }),
  )
  return [
    exactly('searches while it expires under load', 1, searches(market).length - before),
    answered('answered while it expires', sent),
    told('x-cache', counts(sent)),
    atMost('p99 while it expires', searchMs, p99(sent), ' ms'),
  ]
}

/** In no tier any more, and everybody asks in the same moment. */
async function cold(fleet: Fleet, market: Market, say: (line: string) => void): Promise<Bar[]> {
  say(`${clients} clients at once, with the value in memory and in no tier …`)
  const warm = await all(fleet)
  const rttMs = await roundTripMs(market)
  await forget(fleet)
  const before = searches(market).length
  const sent = await all(fleet)
  const added = p99(sent) - p99(warm)
  return [
    exactly('searches of a herd on a cold key', 1, searches(market).length - before),
    answered('answered on a cold key', sent),
    told('x-cache', counts(sent)),
    atMost('p99 added, against one search asked of the market itself', Math.ceil(rttMs), added, ' ms'),
  ]
}

async function leaderKilled(fleet: Fleet, market: Market, say: (line: string) => void): Promise<Bar[]> {
  say('the pod that searches is killed …')
  await forget(fleet)
  const before = searches(market).length
  const asking = all(fleet)
  const from = clock.now()
  while (searches(market).length === before) {
    if (clock.now() - from > mostWaitMs) throw new Error('no pod searches for a value that is gone')
    await sleep(1)
  }
  const leader = Number(String(searches(market).at(-1)!.headers.authorization).at(-1))
  await fleet.pods[leader]!.end('SIGKILL')
  const sent = (await asking).filter((_, i) => i % 3 !== leader)
  return [
    atMost('searches where the pod that searches is killed', 2, searches(market).length - before),
    answered('answered by the other two', sent),
    told('longest wait', `${Math.round(Math.max(...sent.map(({ ms }) => ms)))} ms, for the lease of the dead`),
  ]
}

const all = (fleet: Fleet) => Promise.all(Array.from({ length: clients }, (_, i) => ask(fleet, i)))

async function ask(fleet: Fleet, nth: number): Promise<Sent> {
  const from = clock.now()
  try {
    const response = await fleet.get(path, nth)
    const { providers } = (await response.json()) as { providers: { status: string }[] }
    const ok = response.status === 200 && /^(ok|stale)$/.test(providers[0]?.status ?? '')
    return { ok, ms: clock.now() - from, cache: response.headers.get('x-cache') ?? '' }
  } catch {
    return { ok: false, ms: clock.now() - from, cache: 'failed' }
  }
}

async function roundTripMs(market: Market): Promise<number> {
  const from = clock.now()
  const search = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"limit":2000}' }
  await (await fetch(`${market.baseUrl}/api/v0/bundles/`, search)).json()
  return clock.now() - from
}

const forget = (fleet: Fleet) => fleet.forget('offers:3:vastai')

const p99 = (sent: readonly Sent[]) =>
  percentile(
    sent.map(({ ms }) => ms).sort((a, b) => a - b),
    99,
  )
const atMost = (name: string, limit: number, got: number, unit = ''): Bar => ({
  name,
  want: `<= ${limit}${unit}`,
  got: `${Math.round(got)}${unit}`,
  met: got <= limit,
})
const exactly = (name: string, want: number, got: number): Bar => ({
  name,
  want: String(want),
  got: String(got),
  met: got === want,
})
const told = (name: string, got: string): Bar => ({ name, want: '', got, met: true })

function answered(name: string, sent: readonly Sent[]): Bar {
  const ok = sent.filter(({ ok }) => ok).length
  return { name, want: '100 %', got: `${ok} of ${sent.length}`, met: ok === sent.length }
}

function counts(sent: readonly Sent[]): string {
  const by = new Map<string, number>()
  for (const { cache } of sent) by.set(cache, (by.get(cache) ?? 0) + 1)
  return [...by].map(([cache, count]) => `${count} ${cache}`).join(', ')
}

/** Beside the lists of machines, which pods ask for in the background. */
const searches = ({ calls }: Pick<SandboxServer, 'calls'>) => calls.filter(({ path }) => path.includes('/bundles/'))
