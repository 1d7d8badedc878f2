/**
 * Pods that come, go, stall and lose Redis in random order, over one shared tier on a fake clock. What must hold is
 * checked at each load, write and answer. fast-check prints the seed of a history that breaks it.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createMemorySharedCache } from '../../adapters/memory/shared-cache.ts'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { seededRandom } from '../../tests/support/seeded-random.ts'
import type { SharedCache } from '../ports.ts'
import { createCache } from './cache.ts'
import { accountKey } from './keys.ts'
import { createMemoryTier } from './memory-tier.ts'
import { createSharedTier } from './shared-tier.ts'

const freshMs = 10_000
const staleWhileRevalidateMs = 5_000
const staleIfErrorMs = 30_000
const podCount = 4
const accounts = ['a', 'b', 'a/b']

/** The n-th load of its key, and when it began and ended. */
interface Value {
  account: string
  nth: number
  begunAt: number
  loadedAt: number
}

type Step =
  | { do: 'ask' | 'ask_fresh' | 'invalidate'; pod: number; account: number }
  | { do: 'wait'; ms: number }
  | { do: 'kill' | 'stall' | 'lose_redis'; pod: number }
  | { do: 'source'; down: boolean; takesMs: number }
  | { do: 'gap' }

const pod = fc.nat(podCount - 1)
const account = fc.nat(accounts.length - 1)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('ask' as const), pod, account }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('ask_fresh' as const, 'invalidate' as const), pod, account }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.oneof({ weight: 3, arbitrary: fc.nat(500) }, fc.nat(20_000)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('kill' as const, 'stall' as const, 'lose_redis' as const), pod }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('source' as const),
      down: fc.boolean(),
      takesMs: fc.oneof(fc.nat(300), fc.nat(8_000)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('gap' as const) }) },
)

function world(seed: number) {
  const clock = new FakeClock()
  const random = seededRandom(seed)
  const real = createMemorySharedCache({ clock })
  const source = { down: false, takesMs: 100 }
  const broken: string[] = []
  const loads = new Map<string, number>()
  /** The token under which each load runs: no two loads may have the same. */
  const tokensOfLoads = new Set<string>()
  const newestWritten = new Map<string, number>()
  const invalidatedAt = new Map<string, number>()
  const gaps: (() => void)[] = []

  function startPod() {
    const self = {
      dead: false,
      stalled: false,
      withoutRedis: false,
      missedSome: false,
      tokens: new Map<string, string>(),
    }
    const reached = async <T>(call: () => Promise<T>): Promise<T | undefined> =>
      self.dead || self.stalled || self.withoutRedis ? undefined : call()
    const port: SharedCache = {
      async read(key, ask) {
        const read = await reached(() => real.read(key, ask))
        if (read?.lease.state === 'granted') self.tokens.set(key, read.lease.token)
        else self.tokens.delete(key)
        return read
      },
      async write(key, entry) {
        const written = await reached(() => real.write(key, entry))
        const { nth } = JSON.parse(entry.value) as Value
        if (written && nth < (newestWritten.get(key) ?? 0))
          broken.push(`a late leader overwrote a newer value of ${key}`)
        if (written) newestWritten.set(key, nth)
        return written
      },
      renew: (...args) => reached(() => real.renew(...args)),
      fail: async (...args) => void (await reached(() => real.fail(...args))),
      invalidate: async (key) => (await reached(() => real.invalidate(key))) ?? false,
      listen(listener) {
        real.listen({
          onLoaded: (key) => void (self.withoutRedis || listener.onLoaded(key)),
          onInvalidated: (key) => void (self.withoutRedis || listener.onInvalidated(key)),
          onGap: () => listener.onGap(),
        })
        gaps.push(listener.onGap)
      },
    }
    const cache = createCache<Value, 'account'>({
      name: 'sim',
      scope: 'account',
      clock,
      random,
      memory: createMemoryTier({ maxBytes: 100_000 }),
      shared: { tier: createSharedTier({ cache: port, clock }), layout: 1 },
      freshMs,
      staleWhileRevalidateMs,
      staleIfErrorMs,
      retryAfterErrorMs: 2_000,
      bytesOf: () => 100,
    })

    const load = (of: string) => async (): Promise<Value> => {
      const key = `sim:1:${accountKey({ accountId: of })}`
      const token = self.tokens.get(key)
      if (token !== undefined) {
        if (tokensOfLoads.has(`${key} ${token}`)) broken.push(`two loads of ${key} under one lease`)
        tokensOfLoads.add(`${key} ${token}`)
      }
      const nth = (loads.get(key) ?? 0) + 1
      loads.set(key, nth)
      const { takesMs, down } = source
      const begunAt = clock.now()
      await new Promise<void>((resolve) => void clock.setTimer(takesMs, resolve))
      while (self.stalled) await new Promise<void>((resolve) => void clock.setTimer(1_000, resolve))
      if (self.dead) await new Promise(() => {})
      if (down) throw new Error('source down')
      return { account: of, nth, begunAt, loadedAt: clock.now() }
    }

    return {
      self,
      cache,
      async ask(of: string, maxAgeMs?: number) {
        const askedAt = clock.now()
        const found = await Promise.resolve(cache.get(accountKey({ accountId: of }), load(of), maxAgeMs)).catch(
          () => undefined,
        )
        if (!found || self.dead) return
        const { value, result, ageMs } = found
        const age = clock.now() - value.loadedAt
        if (value.account !== of) broken.push(`${of} was given a value of ${value.account}`)
        if (age > freshMs + staleIfErrorMs) broken.push(`a value of ${age} ms was answered`)
        if (result === 'memory' && age > 1.1 * freshMs) broken.push(`a value of ${age} ms was called fresh`)
        if (Math.abs(age - ageMs) > 1) broken.push(`a value of ${age} ms was said to be ${ageMs} ms old`)
        // One who has lost Redis hears of nothing; after that what it held may still cover for a load that fails.
        const mayNotKnow = self.withoutRedis || (self.missedSome && result === 'stale')
        const gone = invalidatedAt.get(of) ?? -Infinity
        if (!mayNotKnow && value.begunAt < gone && askedAt > gone) {
          broken.push(`a value of ${of} from before its invalidation was answered`)
        }
      },
    }
  }

  const pods = Array.from({ length: podCount }, startPod)
  return { clock, source, broken, pods, startPod, gaps, invalidatedAt }
}

async function run(steps: Step[], seed: number) {
  const { clock, source, broken, pods, startPod, gaps, invalidatedAt } = world(seed)
  for (const step of steps) {
    switch (step.do) {
      case 'ask':
      case 'ask_fresh':
        // It may be answered steps later, or never.
        void pods[step.pod]!.ask(accounts[step.account]!, step.do === 'ask_fresh' ? 1_000 : undefined)
        break
      case 'invalidate': {
        const of = accounts[step.account]!
        const { cache, self } = pods[step.pod]!
        if (self.withoutRedis || self.stalled) break
        await cache.invalidate(accountKey({ accountId: of }))
        invalidatedAt.set(of, clock.now())
        break
      }
      case 'wait':
        await clock.advance(step.ms)
        break
      case 'kill':
        pods[step.pod]!.self.dead = true
        pods[step.pod] = startPod()
        break
      case 'stall':
        pods[step.pod]!.self.stalled = !pods[step.pod]!.self.stalled
        break
      case 'lose_redis': {
        const { self } = pods[step.pod]!
        self.withoutRedis = !self.withoutRedis
        self.missedSome = true
        // Back again: it may have missed something.
        if (!self.withoutRedis) for (const gap of gaps) gap()
        break
      }
      case 'source':
        source.down = step.down
        source.takesMs = step.takesMs
        break
      case 'gap':
        for (const gap of gaps) gap()
    }
    await settled()
    if (broken.length > 0) break
  }
  return broken
}

it('one load for each lease, no late overwriting, nothing too old, nothing of another account, whatever happens', async () => {
  const seed = Number(process.env.CACHE_SEED ?? Math.floor(Math.random() * 2 ** 31))
  console.log(`cache simulation: CACHE_SEED=${seed}`)
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 120 }), fc.nat(), async (steps, dice) => {
      expect(await run(steps, dice)).toEqual([])
    }),
    { numRuns: 2_000, seed },
  )
})
