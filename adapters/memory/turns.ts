/** Turns of one process, for tests. */
import type { Clock, Turns } from '../../src/ports.ts'

export function createMemoryTurns({ clock }: { clock: Pick<Clock, 'now'> }): Turns {
  const turns = new Map<string, { holder: string; until: number }>()
  return {
    async take(name, holder, forMs) {
      const turn = turns.get(name)
      if (turn && turn.holder !== holder && turn.until > clock.now()) return false
      turns.set(name, { holder, until: clock.now() + forMs })
      return true
    },
    async endTurn(name, holder) {
      if (turns.get(name)?.holder === holder) turns.delete(name)
    },
  }
}
