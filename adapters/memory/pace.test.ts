import { test } from 'vitest'
import { paceContract, tenAMinute } from '../../tests/contracts/pace.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createMemoryPace } from './pace.ts'

paceContract(async () => {
  const clock = new FakeClock()
  return { pace: createMemoryPace({ clock }), pass: (ms) => clock.advance(ms) }
})

test('two at once and one in 7.5 s are never more than ten in a minute', () =>
  tenAMinute(() => {
    let now = 1_000
    return {
      pace: createMemoryPace({ clock: { now: () => now } }),
      advance(ms) {
        now += ms
      },
    }
  }))
