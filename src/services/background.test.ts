import { expect, test } from 'vitest'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { sharedEvery, startBackground } from './background.ts'

test('what any pod may do is done as often by many pods as by one, and by each every half a minute at least', async () => {
  const roundsOf = async (pods: number) => {
    const clock = new FakeClock()
    let rounds = 0
    const background = startBackground({
      ...{ clock, random: () => 0.5, everyMs: sharedEvery(1_000, () => pods) },
      round: async () => {
        rounds++
        return false
      },
      onError: (error) => expect.unreachable(String(error)),
    })
    for (let second = 0; second < 120; second++) {
      await clock.advance(1_000)
      await settled()
    }
    await background.stop()
    return rounds
  }
  expect(await roundsOf(1)).toBe(121)
  expect(await roundsOf(10)).toBe(13)
  expect(await roundsOf(1_000)).toBe(5)
})

test('an outage is told of once, and the next one again', async () => {
  const clock = new FakeClock()
  const told: string[] = []
  const rounds = ['', 'first', 'first', 'first', '', 'second', 'second']
  const background = startBackground({
    ...{ clock, random: () => 0.5, everyMs: 1_000 },
    async round() {
      const failure = rounds.shift()
      if (failure) throw new Error(failure)
      return false
    },
    onError: (error) => void told.push((error as Error).message),
  })
  for (let second = 0; second < 7; second++) {
    await clock.advance(1_000)
    await settled()
  }
  await background.stop()
  expect(rounds).toEqual([])
  expect(told).toEqual(['first', 'second'])
})
