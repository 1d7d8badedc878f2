/** What every keeper of turns promises. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { Turns } from '../../src/ports.ts'

export interface TurnsWorld {
  turns: Turns
  /** Lets so much time pass. */
  pass(ms: number): Promise<void>
}

export function turnsContract(name: string, create: () => Promise<TurnsWorld>): void {
  describe(`${name}, as all turns,`, () => {
    let world: TurnsWorld
    let turns: Turns
    beforeEach(async () => {
      world = await create()
      turns = world.turns
    })

    it('go to one of many who ask at once', async () => {
      const asked = ['a', 'b', 'c', 'd'].map((holder) => turns.take('market:vastai', holder, 60_000))
      expect((await Promise.all(asked)).filter(Boolean)).toHaveLength(1)
      expect(await turns.take('market:ionet', 'e', 60_000), 'each name is a turn of its own').toBe(true)
    })

    it('stay with their holder, who may prolong them, until they are over', async () => {
      expect(await turns.take('a turn', 'a', 60_000)).toBe(true)
      await world.pass(50_000)
      expect(await turns.take('a turn', 'a', 60_000)).toBe(true)
      await world.pass(50_000)
      expect(await turns.take('a turn', 'b', 60_000)).toBe(false)
      await world.pass(11_000)
      expect(await turns.take('a turn', 'b', 60_000)).toBe(true)
      expect(await turns.take('a turn', 'a', 60_000)).toBe(false)
    })

    it('are free at once when their holder ends them, and nobody else can', async () => {
      await turns.take('a turn', 'a', 60_000)
      await turns.endTurn('a turn', 'b')
      expect(await turns.take('a turn', 'b', 60_000)).toBe(false)
      await turns.endTurn('a turn', 'a')
      expect(await turns.take('a turn', 'b', 60_000)).toBe(true)
    })
  })
}
