/** What every count of sign-in attempts promises, wherever it is kept. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SignInSubject } from '../../src/domain/sign-in-delay.ts'
import type { SignInAttempts } from '../../src/ports.ts'

export interface AttemptsUnderTest {
  attempts: SignInAttempts
  /** As if all that was written had been written so much earlier. */
  pass(ms: number): void | Promise<void>
  close?(): void | Promise<void>
}

export function signInAttemptsContract(name: string, create: () => AttemptsUnderTest | Promise<AttemptsUnderTest>) {
  describe(`${name}, as every count of attempts,`, () => {
    let world: AttemptsUnderTest
    beforeAll(async () => {
      world = await create()
    })
    afterAll(() => world.close?.())

    let made = 0
    const subject = (kind: SignInSubject['kind'] = 'email'): SignInSubject => ({ kind, value: `value ${++made}` })
    const take = (...subjects: SignInSubject[]) => world.attempts.take(subjects)
    const times = async (count: number, ask: () => Promise<number>) => {
      const waits = []
      for (let i = 0; i < count; i++) waits.push(await ask())
      return waits
    }

    it('lets five go by, then makes each wait twice as long as the one before', async () => {
      const email = subject()
      expect(await times(5, () => take(email))).toEqual([0, 0, 0, 0, 0])
      for (const waitMs of [1_000, 2_000, 4_000, 8_000]) {
        const told = await take(email)
        expect(told).toBeGreaterThan(waitMs - 900)
        expect(told).toBeLessThanOrEqual(waitMs)
        await world.pass(waitMs)
        expect(await take(email)).toBe(0)
      }
    })

    it('counts nothing while somebody has to wait, so that asking does not prolong it', async () => {
      const [email, address] = [subject(), subject('address')]
      await times(5, () => take(email))
      for (const waitMs of await times(30, () => take(email, address))) expect(waitMs).toBeGreaterThan(0)
      await world.pass(1_000)
      expect(await take(email, address)).toBe(0)
      expect(await times(18, () => take(address))).toEqual(Array(18).fill(0))
    })

    it('never makes anybody wait longer than five minutes', async () => {
      const email = subject()
      for (let i = 0; i < 40; i++) {
        expect(await take(email)).toBe(0)
        await world.pass(300_000)
      }
      expect(await take(email)).toBe(0)
      expect(await take(email)).toBeLessThanOrEqual(300_000)
    })

    it('counts those who come at the same moment one by one', async () => {
      const [email, address] = [subject(), subject('address')]
      const waits = await Promise.all(Array.from({ length: 12 }, () => take(email, address)))
      expect(waits.filter((waitMs) => waitMs === 0)).toHaveLength(5)
    })

    it('takes back what was no guess, and the wait that it brought', async () => {
      const email = subject()
      await times(4, () => take(email))
      for (let i = 0; i < 5; i++) {
        expect(await take(email)).toBe(0)
        await world.attempts.giveBack([email])
      }
      expect(await take(email)).toBe(0)
      expect(await take(email)).toBeGreaterThan(0)
    })

    it('tells subjects apart by their kind, and gives each kind its own allowance', async () => {
      const value = `shared ${++made}`
      await times(5, () => take({ kind: 'email', value }))
      expect(await take({ kind: 'email', value })).toBeGreaterThan(0)
      expect(await times(10, () => take({ kind: 'pair', value }))).toEqual(Array(10).fill(0))
      expect(await take({ kind: 'pair', value })).toBeGreaterThan(0)
      expect(await times(20, () => take({ kind: 'address', value }))).toEqual(Array(20).fill(0))
      expect(await take({ kind: 'address', value })).toBeGreaterThan(0)
    })

    it('forgets a subject that was quiet for an hour', async () => {
      const email = subject()
      await times(5, () => take(email))
      await world.pass(3_601_000)
      expect(await times(5, () => take(email))).toEqual([0, 0, 0, 0, 0])
      expect(await take(email)).toBeGreaterThan(0)
    })
  })
}
