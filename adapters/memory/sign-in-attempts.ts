/** Attempts to sign in, counted for this process alone: for tests. */
import { delayAfter, forgetAfterMs, type SignInSubject } from '../../src/domain/sign-in-delay.ts'
import type { Clock, SignInAttempts } from '../../src/ports.ts'

export function createMemorySignInAttempts({ clock }: { clock: Clock }): SignInAttempts {
  const counted = new Map<string, { attempts: number; lastAt: number; lockedUntil: number }>()
  const keyOf = ({ kind, value }: SignInSubject) => `${kind} ${value}`
  const rowOf = (subject: SignInSubject) => {
    const row = counted.get(keyOf(subject))
    return row && clock.wallNow() - row.lastAt <= forgetAfterMs ? row : { attempts: 0, lastAt: 0, lockedUntil: 0 }
  }

  return {
    async take(subjects) {
      const now = clock.wallNow()
      const waitMs = Math.max(...subjects.map((subject) => rowOf(subject).lockedUntil - now))
      if (waitMs > 0) return waitMs
      for (const subject of subjects) {
        const attempts = rowOf(subject).attempts + 1
        counted.set(keyOf(subject), { attempts, lastAt: now, lockedUntil: now + delayAfter(subject.kind, attempts) })
      }
      return 0
    },
    async giveBack(subjects) {
      for (const subject of subjects) {
        const row = rowOf(subject)
        counted.set(keyOf(subject), { ...row, attempts: Math.max(row.attempts - 1, 0), lockedUntil: 0 })
      }
    },
  }
}
