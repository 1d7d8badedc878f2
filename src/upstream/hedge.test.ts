import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { listening } from '../../tests/support/listening.ts'
import { createRetryBudget } from '../resilience/retry-budget.ts'
import { createHedge, type HedgeOptions } from './hedge.ts'

interface Call {
  signal: AbortSignal
  resolve(value: string): void
  reject(reason: unknown): void
}

function world(options: Partial<HedgeOptions> = {}) {
  const clock = new FakeClock()
  const won: string[] = []
  const hedge = createHedge({ clock, onHedged: (which) => won.push(which), ...options })
  const budget = createRetryBudget({ clock })
  const calls: Call[] = []
  const caller = new AbortController()
  const send = (signal: AbortSignal) =>
    new Promise<string>((resolve, reject) => {
      calls.push({ signal, resolve, reject })
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
  const ask = () => hedge.hedged(send, { signal: caller.signal, budget })
  /** Calls that each take so long; `calls` forgets them. */
  const learn = async (timesMs: readonly number[]) => {
    for (const ms of timesMs) {
      const answer = ask()
      await clock.advance(ms)
      for (const { resolve } of calls.splice(0)) resolve('learnt')
      await answer
    }
    won.length = 0
  }
  return { clock, hedge, budget, calls, caller, won, ask, learn }
}

const hundred = Array.from({ length: 100 }, (_, i) => i + 1)

describe('the wait before a second call', () => {
  it('is the 95th percentile, once a hundred times to answer are known', async () => {
    const { hedge, learn } = world()
    await learn(hundred.slice(1))
    expect(hedge.delayMs()).toBe(undefined)
    await learn([1])
    expect(hedge.delayMs()).toBe(95)
  })

  it('is that of the latest two hundred', async () => {
    const { hedge, learn } = world({ maxShare: 0 })
    await learn([...hundred.map(() => 5_000), ...hundred.map(() => 10), ...hundred.map(() => 10)])
    expect(hedge.delayMs()).toBe(10)
  })

  it.each([
    ['maxShare', -0.1],
    ['maxShare', 1.1],
    ['minSamples', 0],
    ['minSamples', 201],
  ])('refuses %s = %d by name', (name, value) => {
    expect(() => world({ [name]: value })).toThrow(new RegExp(`^${name} must be .*got ${value}$`))
  })
})

describe('a call', () => {
  it('is alone while too few times are known, and where it answers in time', async () => {
    const { clock, calls, ask, learn } = world()
    await learn(hundred.slice(1))
    void ask()
    await clock.advance(60_000)
    expect(calls).toHaveLength(1)
    calls.splice(0)[0]!.resolve('late')
    await settled()
    const answer = ask()
    await clock.advance(94)
    calls[0]!.resolve('in time')
    expect(await answer).toBe('in time')
    expect(calls).toHaveLength(1)
    expect(clock.pendingTimers).toBe(0)
  })

  it('gets company after the wait; the second wins, and the first is ended', async () => {
    const { clock, calls, ask, learn, won } = world()
    await learn(hundred)
    const answer = ask()
    await clock.advance(94)
    expect(calls).toHaveLength(1)
    await clock.advance(1)
    expect(calls).toHaveLength(2)
    calls[1]!.resolve('second')
    expect(await answer).toBe('second')
    expect(calls.map(({ signal }) => signal.aborted)).toEqual([true, false])
    expect(won).toEqual(['second'])
  })

  it('may win all the same, and then the second is ended', async () => {
    const { clock, calls, ask, learn, won } = world()
    await learn(hundred)
    const answer = ask()
    await clock.advance(95)
    calls[0]!.resolve('first')
    expect(await answer).toBe('first')
    expect(calls.map(({ signal }) => signal.aborted)).toEqual([false, true])
    expect(won).toEqual(['first'])
  })

  it('that fails before the wait is over fails at once', async () => {
    const { clock, calls, ask, learn, won } = world()
    await learn(hundred)
    const answer = ask()
    await clock.advance(10)
    calls[0]!.reject(new Error('refused'))
    await expect(answer).rejects.toThrow('refused')
    await clock.advance(1_000)
    expect(calls).toHaveLength(1)
    expect(clock.pendingTimers).toBe(0)
    expect(won).toEqual([])
  })

  it('that fails beside its second waits for the second', async () => {
    const { clock, calls, ask, learn, won } = world()
    await learn(hundred)
    const answer = ask()
    await clock.advance(95)
    calls[0]!.reject(new Error('the first'))
    await settled()
    calls[1]!.resolve('second')
    expect(await answer).toBe('second')
    expect(won).toEqual(['second'])
  })

  it.each([
    ['the first before the second', [0, 1]],
    ['the second before the first', [1, 0]],
  ])('fails with the first’s failure where both fail, %s', async (_name, order) => {
    const { clock, calls, ask, learn, won } = world()
    await learn(hundred)
    const answer = expect(ask()).rejects.toThrow('the first')
    await clock.advance(95)
    for (const which of order) {
      calls[which]!.reject(new Error(which === 0 ? 'the first' : 'the second'))
      await settled()
    }
    await answer
    expect(won).toEqual(['neither'])
  })

  it('that throws before it returns a promise is a failure like any other', async () => {
    const { clock, hedge, budget, caller, learn } = world()
    await learn(hundred)
    const send = () => {
      throw new Error('at once')
    }
    await expect(hedge.hedged(send, { signal: caller.signal, budget })).rejects.toThrow('at once')
    expect(clock.pendingTimers).toBe(0)
  })

  it('ends with the caller’s leaving, its second too, and leaves nothing behind', async () => {
    const { clock, calls, caller, ask, learn } = world()
    await learn(hundred)
    const listeners = listening(caller.signal)
    const answer = ask()
    await clock.advance(95)
    expect(listeners()).toBe(1)
    caller.abort(new Error('left'))
    await expect(answer).rejects.toThrow('left')
    expect(calls.map(({ signal }) => signal.aborted)).toEqual([true, true])
    expect(listeners()).toBe(0)
    expect(clock.pendingTimers).toBe(0)
  })

  it('of a caller who has left already ends at once', async () => {
    const { calls, caller, ask } = world()
    caller.abort(new Error('left'))
    await expect(ask()).rejects.toThrow('left')
    expect(calls[0]!.signal.aborted).toBe(true)
  })

  it('whose caller leaves before the wait is over gets no second', async () => {
    const { clock, calls, caller, ask, learn } = world()
    await learn(hundred)
    const answer = ask()
    await clock.advance(50)
    caller.abort(new Error('left'))
    await expect(answer).rejects.toThrow('left')
    await clock.advance(1_000)
    expect(calls).toHaveLength(1)
  })
})

describe('second calls', () => {
  it('are refused by an empty retry budget, and end their place in it', async () => {
    const { clock, hedge, calls, caller, learn } = world()
    await learn(hundred)
    let ended = 0
    const answers = [undefined, () => void ended++].map(async (end) => {
      const budget = { retry: () => end }
      return hedge.hedged(
        (signal) => new Promise<string>((resolve, reject) => calls.push({ signal, resolve, reject })),
        { signal: caller.signal, budget },
      )
    })
    await clock.advance(95)
    expect(calls).toHaveLength(3)
    for (const { resolve } of calls) resolve('x')
    await Promise.all(answers)
    await settled()
    expect(ended).toBe(1)
  })

  it('are at most 5 % of the calls, however slow all of them are, and save up no burst', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 400 }), async (quick) => {
        const { clock, hedge, caller } = world()
        let sent = 0
        let waitMs = 1
        const send = (signal: AbortSignal) =>
          new Promise<string>((resolve) => {
            sent++
            const cancel = clock.setTimer(waitMs, () => resolve('x'))
            signal.addEventListener('abort', cancel)
          })
        const budget = { retry: () => () => {} }
        const ask = async () => {
          const answer = hedge.hedged(send, { signal: caller.signal, budget })
          clock.tick(waitMs)
          await answer
        }
        for (let i = 0; i < 100 + quick; i++) await ask()
        const learning = sent
        expect(learning).toBeLessThanOrEqual((100 + quick) * 1.05)
        waitMs = 1_000
        for (let i = 0; i < 20; i++) await ask()
        expect(sent - learning - 20, 'a burst').toBeLessThanOrEqual(11)
        for (let i = 0; i < 200; i++) await ask()
        expect(sent).toBeLessThanOrEqual((320 + quick) * 1.05)
      }),
      { numRuns: 20 },
    )
  })
})
