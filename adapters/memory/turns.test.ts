import { turnsContract } from '../../tests/contracts/turns.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createMemoryTurns } from './turns.ts'

turnsContract('the turns in memory', async () => {
  const clock = new FakeClock()
  return { turns: createMemoryTurns({ clock }), pass: (ms) => clock.advance(ms) }
})
