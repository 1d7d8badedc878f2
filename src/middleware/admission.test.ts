import { describe, expect, it } from 'vitest'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { seededRandom } from '../../tests/support/seeded-random.ts'
import { ApiError } from '../errors.ts'
import type { Load } from '../ports.ts'
import { instruments } from '../telemetry/instruments.ts'
import { createAdmission } from './admission.ts'
import type { AppContext } from './request-context.ts'

const calm: Load = { utilisation: 0.3, delayP50Ms: 1, delayP99Ms: 2, memoryShare: 0.3 }
const overloaded: Load = { utilisation: 1, delayP50Ms: 13, delayP99Ms: 60, memoryShare: 0.3 }

interface Asked {
  headers: Record<string, string>
  outcome: 'waiting' | 'admitted' | ApiError
  leave: AbortController
  end: () => void
}

function world(options: { load?: Load | 'absent' } = {}) {
  const clock = new FakeClock()
  const metrics = new FakeMetrics()
  const state = { load: options.load === 'absent' ? calm : (options.load ?? calm), looks: 0 }
  const admission = createAdmission({
    clock,
    metrics,
    random: seededRandom(1),
    load:
      options.load === 'absent'
        ? undefined
        : () => {
            state.looks++
            return state.load
          },
  })
  const check = { inference: admission.check('inference'), search: admission.check('search') }

  function ask(
    work: 'inference' | 'search' = 'inference',
    {
      key = 'key',
      method = 'POST',
      headers = {} as Record<string, string>,
      credential = `digest of ${key}` as string,
    } = {},
  ): Asked {
    const endings: (() => void)[] = []
    const asked: Asked = {
      headers: {},
      outcome: 'waiting',
      leave: new AbortController(),
      end: () => endings.splice(0).forEach((ending) => void ending()),
    }
    const request = {
      headers: asked.headers,
      principal: { keyId: key },
      credentialDigest: credential,
      onEnd: (ending: () => void) => void endings.push(ending),
    }
    const c = {
      env: { headers },
      get: () => request,
      req: { method, raw: { signal: asked.leave.signal } },
    } as unknown as AppContext
    const refused = (error: unknown) => {
      asked.outcome = error as ApiError
    }
    const admitted = () => {
      asked.outcome = 'admitted'
    }
    try {
      const waits = check[work](c)
      if (waits) waits.then(admitted, refused)
      else admitted()
    } catch (error) {
      refused(error)
    }
    return asked
  }

  /** The load that is seen for so many looks. */
  const seen = async (load: Load, looks: number) => {
    state.load = load
    for (let i = 0; i < looks; i++) {
      await clock.advance(250)
      admission.level()
    }
  }

  /** 40 requests are under way, and the limit is 38 by now. */
  async function busy(key = 'key') {
    const running = Array.from({ length: 40 }, () => ask('inference', { key }))
    await seen(overloaded, 2)
    state.load = { ...calm, delayP50Ms: 10 }
    return running
  }

  return { clock, metrics, admission, state, ask, seen, busy }
}

describe('admission', () => {
  it('lets all pass, at once, where nothing speaks against it', () => {
    const { ask, metrics } = world()
    const all = Array.from({ length: 1_000 }, () => ask())
    expect(all.every(({ outcome }) => outcome === 'admitted')).toBe(true)
    expect(all[0]!.headers).toEqual({})
    expect(metrics.counted(instruments.requestsShed)).toBe(0)
  })

  it('counts what is asked of it, let in or not, and neither searches nor nonsense', async () => {
    const { ask, busy, clock, admission } = world()
    await busy()
    const waiting = ask()
    await clock.advance(250)
    expect(waiting.outcome).toMatchObject({ code: 'overloaded' })
    ask('search')
    ask('inference', { headers: { 'x-gpuproxy-priority': 'high' } })
    expect(admission.arrivals()).toBe(41)
  })

  it('lets all pass where the runtime cannot tell how busy it is', async () => {
    const { ask, clock } = world({ load: 'absent' })
    await clock.advance(10_000)
    expect(ask().outcome).toBe('admitted')
  })

  it('looks at the load at most every 250 ms, and only when asked', async () => {
    const { ask, clock, state } = world()
    for (let ms = 0; ms < 1_000; ms += 50) {
      ask()
      await clock.advance(50)
    }
    expect(state.looks).toBe(3)
    await clock.advance(60_000)
    expect(state.looks).toBe(3)
    expect(clock.pendingTimers).toBe(0)
  })

  it('once overloaded lets inference wait at most 250 ms for a place, then refuses and says when to come back', async () => {
    const { ask, busy, clock, metrics, admission } = world()
    await busy()
    const waiting = ask()
    expect(admission.waiting()).toBe(1)
    await clock.advance(249)
    expect(waiting.outcome).toBe('waiting')
    await clock.advance(1)
    expect(waiting.outcome).toMatchObject({ code: 'overloaded', options: { shouldRetry: true } })
    expect(metrics.counted(instruments.requestsShed, { reason: 'admission' })).toBe(1)
    expect(admission.waiting()).toBe(0)
  })

  it.each([
    ['80', 20],
    ['60000', 250],
    ['nonsense', 250],
    ['-5', 250],
  ])('with x-request-timeout-ms %s waits %i ms', async (timeout, waitMs) => {
    const { ask, busy, clock } = world()
    await busy()
    const waiting = ask('inference', { headers: { 'x-request-timeout-ms': timeout } })
    await clock.advance(waitMs - 1)
    expect(waiting.outcome).toBe('waiting')
    await clock.advance(1)
    expect(waiting.outcome).toBeInstanceOf(ApiError)
  })

  it('serves a thousand who come at once by the few places that a pod once overloaded has left', async () => {
    const { ask, seen, state, clock, admission } = world()
    const running = Array.from({ length: 10 }, () => ask())
    await seen(overloaded, 2)
    state.load = calm
    for (const { end } of running) end()
    const crowd = Array.from({ length: 1_001 }, () => ask())
    expect(admission.waiting(), 'nine are served at once').toBe(992)
    // Each answer takes a fifth of a millisecond of the core.
    const served = new Set<Asked>()
    for (let ms = 0; ms < 249; ms++) {
      const underWay = crowd.filter((asked) => asked.outcome === 'admitted' && !served.has(asked))
      for (const asked of underWay.slice(0, 5)) {
        served.add(asked)
        asked.end()
      }
      await clock.advance(1)
    }
    expect(served.size).toBe(1_001)
  })

  it('refuses at once who would be one too many to wait', async () => {
    const { ask, busy, metrics } = world()
    await busy()
    const waiting = Array.from({ length: 1_000 }, () => ask())
    const late = ask()
    await settled()
    expect(waiting.every(({ outcome }) => outcome === 'waiting')).toBe(true)
    expect(late.outcome).toMatchObject({ code: 'overloaded' })
    expect(metrics.counted(instruments.requestsShed, { reason: 'admission' })).toBe(1)
  })

  it('once some have waited in vain, lets no more wait than there are places at least', async () => {
    const { ask, busy, clock, admission } = world()
    await busy()
    for (let i = 0; i < 100; i++) ask()
    await clock.advance(250)
    for (let i = 0; i < 100; i++) ask()
    expect(admission.waiting()).toBe(8)
  })

  it('gives the place back when the answer ends, and lets a quiet key in meanwhile', async () => {
    const { ask, busy } = world()
    const running = await busy('loud')
    const loud = ask('inference', { key: 'loud' })
    const quiet = ask('inference', { key: 'quiet' })
    expect([quiet.outcome, loud.outcome]).toEqual(['admitted', 'waiting'])
    for (const { end } of running.slice(0, 6)) end()
    await settled()
    expect(loud.outcome).toBe('admitted')
  })

  it('serves low priority last, and refuses a priority that it does not know', async () => {
    const { ask, busy } = world()
    const running = await busy()
    const low = ask('inference', { headers: { 'x-gpuproxy-priority': 'low' } })
    const normal = ask('inference', { headers: { 'x-gpuproxy-priority': 'normal' } })
    for (const { end } of running.slice(0, 3)) end()
    await settled()
    expect([low.outcome, normal.outcome]).toEqual(['waiting', 'admitted'])
    expect(ask('inference', { headers: { 'x-gpuproxy-priority': 'high' } }).outcome).toMatchObject({
      code: 'invalid_header',
      message: expect.stringContaining('x-gpuproxy-priority'),
    })
  })

  it('forgets a caller who leaves while waiting', async () => {
    const { ask, busy, admission, clock } = world()
    await busy()
    const waiting = ask()
    waiting.leave.abort('gone')
    await settled()
    expect(waiting.outcome).toMatchObject({ code: 'client_closed' })
    expect(admission.waiting()).toBe(0)
    expect(clock.pendingTimers).toBe(0)
  })

  it('grows its limit again when the loop is in time', async () => {
    const { ask, busy, seen } = world()
    await busy()
    await seen(calm, 10)
    expect(ask().outcome).toBe('admitted')
  })

  it('spreads the times after which it asks callers to come back over 1 to 3 s', async () => {
    const { ask, seen } = world()
    await seen({ ...calm, memoryShare: 0.95 }, 2)
    const waits = Array.from({ length: 200 }, () => (ask().outcome as ApiError).options.retryAfterMs!)
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(1_000)
    expect(Math.max(...waits)).toBeLessThanOrEqual(3_000)
    expect(new Set(waits).size).toBeGreaterThan(40)
  })

  it.each([
    [1, { ...overloaded, delayP99Ms: 80 }, ['shed', 'shed', 'admitted', 'admitted']],
    [2, { ...overloaded, delayP99Ms: 250 }, ['shed', 'shed', 'shed', 'admitted']],
    [3, { ...calm, memoryShare: 0.95 }, ['shed', 'shed', 'shed', 'shed']],
  ])(
    'at brownout level %i sheds what the table says, tells the level, and leaves what runs alone',
    async (level, load, expected) => {
      const { ask, seen, metrics, admission } = world()
      const running = ask()
      await seen(load, 2)
      expect(admission.level()).toBe(level)
      const asked = [
        ask('search'),
        ask('inference', { method: 'GET' }),
        ask('inference', { headers: { 'x-gpuproxy-priority': 'low' } }),
        ask('inference'),
      ]
      const outcomes = asked.map(({ outcome }) => (outcome instanceof ApiError ? 'shed' : outcome))
      expect(outcomes).toEqual(expected)
      expect(asked.map(({ headers }) => headers['x-gpuproxy-brownout'])).toEqual(Array(4).fill(String(level)))
      expect(running.outcome).toBe('admitted')
      expect(ask('search', { method: 'DELETE' }).outcome).toBe('admitted')
      const shed = expected.filter((outcome) => outcome === 'shed').length
      expect(metrics.counted(instruments.requestsShed, { reason: 'brownout' })).toBe(shed)
    },
  )

  describe('turns away', () => {
    const digest = 'digest of key'

    /** 38 places are taken, 8 wait, and one of the key has just been refused. */
    async function full() {
      const made = world()
      const running = await made.busy()
      const fill = () => {
        while (made.admission.waiting() < 8) made.ask('inference', { credential: 'of those who wait' })
      }
      fill()
      await made.clock.advance(250)
      fill()
      made.ask()
      await settled()
      return { ...made, running, fill }
    }

    it('a credential that it has just refused, counts it, and says when to come back', async () => {
      const { admission, metrics } = await full()
      const [arrivals, shed] = [admission.arrivals(), metrics.counted(instruments.requestsShed)]
      expect(admission.turnsAway()).toBe(true)
      const { error, principal } = admission.turnAway(digest)!
      expect(error).toMatchObject({ code: 'overloaded', options: { shouldRetry: true } })
      expect(error.options.retryAfterMs).toBeGreaterThanOrEqual(1_000)
      expect(principal).toEqual({ keyId: 'key' })
      expect(admission.arrivals()).toBe(arrivals + 1)
      expect(metrics.counted(instruments.requestsShed, { reason: 'admission' })).toBe(shed + 1)
    })

    it('no credential that was not refused', async () => {
      const { admission } = await full()
      expect(admission.turnAway('another digest')).toBeUndefined()
    })

    it('all that it knows while memory is short, whatever places there are', async () => {
      const { admission, running, seen, ask, metrics } = await full()
      for (const { end } of running) end()
      await seen({ ...calm, memoryShare: 0.95 }, 2)
      ask('inference', { credential: 'new digest' })
      expect(admission.turnAway('new digest')?.error.code).toBe('overloaded')
      expect(metrics.counted(instruments.requestsShed, { reason: 'brownout' })).toBe(2)
    })

    it('nobody where there is a place for him', async () => {
      const { admission, running, ask } = await full()
      expect(admission.turnAway(digest)).toBeDefined()
      for (const { end } of running) end()
      await settled()
      expect(admission.turnAway(digest)).toBeUndefined()
      expect(ask().outcome).toBe('admitted')
    })

    it('for a second after it has refused the credential, then lets it come in to be looked at again', async () => {
      const { admission, clock, fill } = await full()
      for (let i = 0; i < 4; i++) {
        expect(admission.turnAway(digest)).toBeDefined()
        await clock.advance(250)
        fill()
      }
      expect(admission.turnAway(digest)).toBeUndefined()
      expect(admission.turnAway('of those who wait')).toBeDefined()
      await clock.advance(250)
      expect(admission.turnsAway()).toBe(true)
      await clock.advance(1_000)
      expect(admission.turnsAway()).toBe(false)
    })

    it('of ten thousand credentials at most, the latest', async () => {
      const { admission, ask } = await full()
      for (let i = 0; i < 10_000; i++) ask('inference', { credential: `digest ${i}` })
      await settled()
      expect(admission.turnAway(digest)).toBeUndefined()
      expect(admission.turnAway('digest 0')).toBeDefined()
      ask('inference', { credential: 'digest 0' })
      ask('inference', { credential: 'one more' })
      await settled()
      expect(admission.turnAway('digest 0')).toBeDefined()
      expect(admission.turnAway('digest 1')).toBeUndefined()
    })
  })
})
