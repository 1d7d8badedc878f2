/** What a market allows an operator holds for all of its pods together, whatever people look for. */
import { afterEach, expect, test } from 'vitest'
import { mostInAMinute, question, type SearchFleet, startSearchFleet } from '../support/search-fleet.ts'
import { createSkippingClock } from '../support/skipping-clock.ts'

let fleet: SearchFleet | undefined
afterEach(() => fleet?.close())

const stepMs = 3_000
const minutes = 4

test('fifty gateways search ten times a minute at most, with no cache to share and callers who want none', async () => {
  const clock = createSkippingClock()
  const told = new Map<string, number>()
  let asked = 0
  const ask = async (pod: number, from: SearchFleet) => {
    const { query, headers } = question(asked++)
    const status = await from.ask(pod, query, headers)
    told.set(status, (told.get(status) ?? 0) + 1)
  }
  const early: Promise<void>[] = []
  fleet = await startSearchFleet({
    ...{ size: 50, clock },
    // On a machine that has other work to do Redis may seem slow.
    env: { REDIS_COMMAND_TIMEOUT: '10s' },
    onStarted: (pod, started) => early.push(ask(pod, started)),
  })
  await Promise.all(early)
  const begun = clock.now()
  for (let passedMs = 0; passedMs < minutes * 60_000; passedMs += stepMs) {
    await Promise.all(fleet.pods.map((_, pod) => ask(pod, fleet!)))
    await fleet.wipe()
    clock.skip(stepMs)
    await fleet.age(stepMs)
  }
  const searches = fleet.searches()
  expect(mostInAMinute(searches)).toBeLessThanOrEqual(10)
  // Nor is the allowance left unused.
  expect(searches.filter((at) => at >= begun).length).toBeGreaterThan(6 * minutes)
  expect(told.get('ok')).toBeGreaterThan(0)
  expect(told.has('down')).toBe(false)
}, 120_000)
