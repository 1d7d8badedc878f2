/** How long the phases are. */
import type { Day, Phases } from './row.ts'

export const fullPhases: Phases = { good: 10, fault: 20, after: 30 }

/** A few requests a second, whatever the machine can do: right or wrong is judged, and no time. */
export const fastDay: Day = {
  name: 'fast',
  phases: { good: 2, fault: 4, after: 5 },
  capacity: async () => {
    throw new Error('a fast day has loads of its own')
  },
}
