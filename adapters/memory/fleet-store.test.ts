import { systemClock as clock } from '../../src/resilience/clock.ts'
import { fleetBoardContract } from '../../tests/contracts/fleet-board.ts'
import { createMemoryFleetStore } from './fleet-store.ts'

fleetBoardContract('the board in memory', async () => {
  const store = createMemoryFleetStore({ clock })
  return { connect: async () => store, forget: async () => store.forget() }
})
