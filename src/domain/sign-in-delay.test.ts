import fc from 'fast-check'
import { expect, test } from 'vitest'
import { delayAfter } from './sign-in-delay.ts'

const kind = fc.constantFrom('address' as const, 'email' as const, 'pair' as const)

test('the wait never falls with one more attempt, and is five minutes at most', () => {
  fc.assert(
    fc.property(kind, fc.nat(), (kind, attempts) => {
      const [wait, next] = [delayAfter(kind, attempts), delayAfter(kind, attempts + 1)]
      expect(next).toBeGreaterThanOrEqual(wait)
      expect(next).toBeLessThanOrEqual(300_000)
    }),
  )
})

test.each([
  ['email', 4, 0],
  ['email', 5, 1_000],
  ['email', 6, 2_000],
  ['email', 13, 256_000],
  ['email', 14, 300_000],
  ['pair', 9, 0],
  ['pair', 10, 1_000],
  ['address', 19, 0],
  ['address', 20, 1_000],
] as const)('after the attempt of %s number %i: %i ms', (kind, attempts, ms) => {
  expect(delayAfter(kind, attempts)).toBe(ms)
})
