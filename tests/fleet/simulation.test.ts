/**
 * Fifty pods in one process, on a clock that is told to go on, over a store that is late, loses messages, is cut off from
 * some of the pods, goes away, and comes back without its memory. The seed is in the failure's text.
 */
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { circuitId, createFleet, type Fleet, type FleetOptions, type SimulatedPod } from '../support/simulated-fleet.ts'

vi.setConfig({ testTimeout: 120_000 })

const histories = Number(process.env.FLEET_HISTORIES ?? 12)
/** What was begun out of reach of the others may still be under way. */
const settledMs = 10_000
/** A board's beat, and the message. */
const newsMs = 1_500

const everySeed = (history: (seed: number) => Promise<void>, numRuns = histories) =>
  fc.assert(fc.asyncProperty(fc.nat(), history), { numRuns, endOnFailure: true })

/** In every history, whatever happens in it. */
function watch(fleet: Fleet) {
  const wrong: string[] = []
  fleet.onTrial.push(({ pod, holder, heardBoard }) => {
    const at = fleet.clock.now()
    // A pod out of the board's reach decides alone, as it must.
    if (heardBoard && holder !== pod.name) wrong.push(`${at}: ${pod.name} tries while ${holder ?? 'nobody'} may`)
    if (at - fleet.store.awayAt < settledMs) return
    const inReach = [...fleet.running].filter((trial) => trial.heardBoard && at - trial.pod.cutAt > settledMs)
    const probers = new Set(inReach.filter((trial) => !trial.pod.dead).map((trial) => trial.pod.name))
    if (probers.size > 1) wrong.push(`${at}: ${[...probers]} try at a time`)
    if (inReach.length > 3) wrong.push(`${at}: ${inReach.length} trial calls at a time`)
  })
  return wrong
}

const states = (pods: readonly SimulatedPod[]) => new Set(pods.map((pod) => pod.state()))

/** Lets time pass until it holds; how long that took. */
async function until(fleet: Fleet, mostMs: number, holds: () => boolean): Promise<number> {
  const since = fleet.clock.now()
  while (!holds()) {
    if (fleet.clock.now() - since > mostMs) return Infinity
    await fleet.advance(250)
  }
  return fleet.clock.now() - since
}

describe('fifty pods', () => {
  const fifty = (seed: number, more: Partial<FleetOptions> = {}) => createFleet({ seed, pods: 50, loss: 0.05, ...more })

  it('open together when a provider goes down, try one at a time while it is, and close together when it is back', async () => {
    await everySeed(async (seed) => {
      const fleet = fifty(seed)
      const wrong = watch(fleet)
      let quorumAt = Infinity
      fleet.onState.push(() => {
        const open = fleet.pods.filter((pod) => pod.state() === 'open').length
        if (open >= 15) quorumAt = Math.min(quorumAt, fleet.clock.now())
      })
      await fleet.advance(20_000)
      fleet.provider.down = true
      expect(await until(fleet, 15_000, () => !states(fleet.pods).has('closed')), 'all are open').toBeLessThan(15_000)
      const slow = fleet.pods.filter(
        ({ failuresWhileClosed }) => failuresWhileClosed.filter(({ at }) => at > quorumAt + newsMs).length > 1,
      )
      // One message in twenty is lost, so of fifty pods one may miss two in a row.
      expect(slow.length, 'pods that need a second failure once the others know').toBeLessThanOrEqual(2)
      const { attempts } = fleet.seen
      await fleet.advance(120_000)
      expect(states(fleet.pods).has('closed'), 'and stay so').toBe(false)
      expect(fleet.seen.attempts - attempts, 'few calls find out that it is still down').toBeLessThanOrEqual(12)
      // One in 3 s, and those of pods that lost so many messages that they took the board for gone.
      expect(fleet.seen.probes, 'and few probes').toBeLessThanOrEqual(60)

      fleet.provider.down = false
      const all = () => states(fleet.pods)
      expect(await until(fleet, 45_000, () => all().size === 1 && all().has('closed')), 'all close').toBeLessThan(
        45_000,
      )
      await fleet.advance(60_000)
      expect([...all()], 'and stay so').toEqual(['closed'])
      expect(wrong).toEqual([])
    })
  })

  it('return in steps: not all of their calls are made at once where the provider has just come back', async () => {
    await everySeed(async (seed) => {
      const fleet = fifty(seed, { callEveryMs: 100 })
      await fleet.advance(5_000)
      fleet.provider.down = true
      await until(fleet, 15_000, () => !states(fleet.pods).has('closed'))
      await fleet.advance(20_000)
      fleet.provider.down = false
      let firstAt = Infinity
      fleet.onState.push((_pod, to) => {
        if (to === 'closed') firstAt = Math.min(firstAt, fleet.clock.now())
      })
      await until(fleet, 60_000, () => firstAt < Infinity)
      const before = fleet.seen.attempts
      await fleet.advance(1_000)
      // 500 calls a second: a quarter, and a call a pod in each step for those that have few.
      expect(fleet.seen.attempts - before).toBeLessThan(250)
      await fleet.advance(5_000)
      const full = fleet.seen.attempts
      await fleet.advance(1_000)
      expect(fleet.seen.attempts - full).toBeGreaterThan(400)
    }, 3)
  })

  it('are not opened by one that always fails, also where each of them sees a failure now and then', async () => {
    await everySeed(async (seed) => {
      const fleet = fifty(seed)
      const wrong = watch(fleet)
      fleet.provider.chance = 0.02
      fleet.pods[0]!.sick = true
      const opened: string[] = []
      fleet.onState.push((pod, to) => {
        if (to === 'open' && !pod.sick) opened.push(pod.name)
      })
      await fleet.advance(300_000)
      expect(fleet.pods[0]!.state()).not.toBe('closed')
      expect(opened, 'one sick pod opens no other').toEqual([])
      expect(wrong).toEqual([])
    })
  })

  it('are not opened by any number of others while their own calls succeed', async () => {
    await everySeed(async (seed) => {
      const fleet = fifty(seed)
      const wrong = watch(fleet)
      for (const pod of fleet.pods.slice(0, 30)) pod.sick = true
      await fleet.advance(120_000)
      expect(states(fleet.pods.slice(0, 30)).has('closed'), 'the sick are open').toBe(false)
      expect([...states(fleet.pods.slice(30))], 'and the others closed').toEqual(['closed'])
      expect(wrong).toEqual([])
    }, 4)
  })

  it('are not kept open by one that always fails', async () => {
    await everySeed(async (seed) => {
      const fleet = fifty(seed)
      const wrong = watch(fleet)
      const sick = fleet.pods[Math.floor(fleet.random() * 50)]!
      const well = fleet.pods.filter((pod) => pod !== sick)
      sick.sick = true
      await fleet.advance(10_000)
      fleet.provider.down = true
      await fleet.advance(90_000)
      fleet.provider.down = false
      const took = await until(fleet, 60_000, () => states(well).size === 1 && states(well).has('closed'))
      expect(took, 'the others close').toBeLessThan(60_000)
      expect(wrong).toEqual([])
    })
  })

  it('stay right while pods die and start, are cut off, and the board goes away and forgets', async () => {
    await everySeed(async (seed) => {
      const fleet = fifty(seed, { loss: 0.1 })
      const wrong = watch(fleet)
      const chance = (share: number) => fleet.random() < share
      const one = () => fleet.live()[Math.floor(fleet.random() * fleet.live().length)]!
      for (let second = 0; second < 240; second++) {
        if (second % 60 === 20) fleet.provider.down = true
        if (second % 60 === 50) fleet.provider.down = false
        if (chance(0.05)) fleet.kill(one())
        if (fleet.live().length < 50 && chance(0.2)) fleet.startPod()
        const pod = one()
        if (chance(0.05)) pod.cut = !pod.cut
        for (const each of fleet.live()) if (each.cut) each.cutAt = fleet.clock.now()
        if (chance(fleet.store.away ? 0.2 : 0.02)) {
          fleet.store.away = !fleet.store.away
          if (!fleet.store.away && chance(0.5)) fleet.hub.forget()
        }
        if (fleet.store.away) fleet.store.awayAt = fleet.clock.now()
        await fleet.advance(1_000)
      }
      fleet.provider.down = false
      fleet.store.away = false
      for (const pod of fleet.pods) pod.cut = false
      const closed = () => states(fleet.live()).size === 1 && states(fleet.live()).has('closed')
      expect(await until(fleet, 90_000, closed), 'all find back').toBeLessThan(90_000)
      expect(wrong).toEqual([])
    })
  })

  it('each go on alone without the board, open and close again', async () => {
    await everySeed(async (seed) => {
      const fleet = fifty(seed)
      await fleet.advance(5_000)
      fleet.store.away = true
      await fleet.advance(5_000)
      fleet.provider.down = true
      expect(await until(fleet, 30_000, () => !states(fleet.pods).has('closed'))).toBeLessThan(30_000)
      await fleet.advance(30_000)
      fleet.provider.down = false
      const closed = () => states(fleet.pods).size === 1 && states(fleet.pods).has('closed')
      expect(await until(fleet, 60_000, closed)).toBeLessThan(60_000)
    }, 3)
  })

  it('wait no longer for the failed trial of one pod: its own network may be what is broken', async () => {
    await everySeed(async (seed) => {
      const fleet = fifty(seed, { probing: false, loss: 0 })
      const wrong = watch(fleet)
      const [sick, ...well] = fleet.pods
      sick!.sick = true
      await fleet.advance(5_000)
      fleet.provider.down = true
      await until(fleet, 15_000, () => !states(fleet.pods).has('closed'))
      fleet.provider.down = false
      // It is the first to try, long before the others would.
      sick!.upstream.circuit('gpt').breaker.endWait()
      await until(fleet, 5_000, () => fleet.seen.trials > 0)
      const closed = () => states(well).size === 1 && states(well).has('closed')
      expect(await until(fleet, 90_000, closed)).toBeLessThan(38_000)
      expect(wrong).toEqual([])
    })
  })

  it('are not tried by a second one where the store forgets whose turn it is', async () => {
    await everySeed(async (seed) => {
      const fleet = fifty(seed, { probing: false, loss: 0 })
      const wrong = watch(fleet)
      await fleet.advance(10_000)
      fleet.provider.down = true
      await until(fleet, 15_000, () => !states(fleet.pods).has('closed'))
      fleet.provider.down = false
      fleet.onTrial.push(() => fleet.hub.forget())
      const closed = () => states(fleet.pods).size === 1 && states(fleet.pods).has('closed')
      expect(await until(fleet, 90_000, closed)).toBeLessThan(90_000)
      expect(wrong).toEqual([])
    })
  })

  it('are followed by another within 5 s where the one that tries dies', async () => {
    await everySeed(async (seed) => {
      const fleet = fifty(seed, { probing: false, loss: 0, late: 0 })
      const wrong = watch(fleet)
      await fleet.advance(5_000)
      fleet.provider.down = true
      await until(fleet, 15_000, () => !states(fleet.pods).has('closed'))
      fleet.provider.down = false
      fleet.onTrial.push(({ pod }) => {
        if (fleet.seen.trials === 1) fleet.kill(pod)
      })
      expect(await until(fleet, 60_000, () => fleet.seen.trials > 0)).toBeLessThan(60_000)
      expect(await until(fleet, 60_000, () => fleet.seen.trials > 1)).toBeLessThanOrEqual(6_500)
      expect(await until(fleet, 15_000, () => states(fleet.live()).size === 1)).toBeLessThan(15_000)
      expect(wrong).toEqual([])
    })
  })
})

describe('an operator’s word', () => {
  it.each([
    [2_000, 0],
    [15_000, 0.1],
  ])('reaches every pod within %i ms where a share of %f of the messages is lost', async (mostMs, loss) => {
    await everySeed(async (seed) => {
      const fleet = createFleet({ seed, pods: 20, loss })
      await fleet.advance(3_000)
      const force = (pod: SimulatedPod, word: 'open' | 'closed' | 'auto') => {
        pod.upstream.force('openai:gpt', word)
        pod.board.setWord('openai:gpt', word)
      }
      force(fleet.pods[3]!, 'open')
      const all = (state: string) => () => fleet.live().every((pod) => pod.state() === state)
      expect(await until(fleet, mostMs, all('forced_open'))).toBeLessThanOrEqual(mostMs)
      fleet.hub.forget()
      await fleet.advance(mostMs)
      fleet.startPod()
      await fleet.advance(mostMs)
      expect(all('forced_open')(), 'also one that starts later, and after the store has forgotten it').toBe(true)
      force(fleet.pods[7]!, 'auto')
      expect(await until(fleet, mostMs, all('closed'))).toBeLessThanOrEqual(mostMs)
    })
  })

  it('given while the board is away holds at once where it was given, and everywhere once it is back', async () => {
    await everySeed(async (seed) => {
      const fleet = createFleet({ seed, pods: 20 })
      await fleet.advance(3_000)
      fleet.store.away = true
      fleet.pods[0]!.upstream.force('openai:gpt', 'closed')
      fleet.pods[0]!.board.setWord('openai:gpt', 'closed')
      await fleet.advance(10_000)
      expect(fleet.pods.map((pod) => pod.state()).filter((state) => state === 'forced_closed')).toHaveLength(1)
      fleet.store.away = false
      await fleet.advance(3_000)
      expect([...states(fleet.pods)]).toEqual(['forced_closed'])
    }, 4)
  })
})

describe('retries of a whole fleet', () => {
  it.each([1, 3, 50, 400])('of %i pods keep to 12 % of its requests in an outage', async (pods) => {
    await everySeed(async (seed) => {
      const fleet = createFleet({ seed, pods, callEveryMs: pods * 5, breaking: false, maxAttempts: 3 })
      // Long enough to save up whatever may be saved.
      await fleet.advance(30_000)
      fleet.provider.down = true
      const before = { ...fleet.seen }
      await fleet.advance(30_000)
      const requests = fleet.seen.requests - before.requests
      expect(requests).toBeGreaterThan(5_000)
      const tries = (fleet.seen.attempts - before.attempts) / requests
      expect(tries).toBeLessThanOrEqual(1.12)
      expect(tries, 'and there are some').toBeGreaterThan(1.02)
    }, 1)
  })
})

it('names its circuit as the gateway does', () => {
  const fleet = createFleet({ seed: 1, pods: 1 })
  expect(circuitId).toBe(`${fleet.pods[0]!.upstream.name}/gpt`)
})
