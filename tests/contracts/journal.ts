/** What every journal promises, wherever it is kept. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Journal } from '../../src/ports.ts'

export interface JournalUnderTest {
  journal: Journal
  close?(): void | Promise<void>
}

export function journalContract(
  name: string,
  create: (options: { maxBytes: number }) => JournalUnderTest | Promise<JournalUnderTest>,
): void {
  describe(`${name}, as every journal,`, () => {
    let world: JournalUnderTest
    let journal: Journal
    beforeEach(async () => {
      world = await create({ maxBytes: 64 * 1024 })
      journal = world.journal
    })
    afterEach(() => world.close?.())

    const append = (count: number, from = 0) => {
      for (let i = 0; i < count; i++) expect(journal.append(`event ${from + i}`)).toBe(journal.position)
    }
    /** Takes and settles them group by group. */
    const settleAll = async (groupSize: number) => {
      const events: string[] = []
      for (;;) {
        const group = await journal.oldest(groupSize)
        if (group.length === 0) return events
        expect(group.length).toBeLessThanOrEqual(groupSize)
        events.push(...group.map(({ event }) => event))
        journal.settle(group.at(-1)!.position)
      }
    }

    it('gives back what was appended, in its order, until it is settled', async () => {
      append(5)
      expect(journal.pending).toBe(5)
      const first = await journal.oldest(3)
      expect(first.map(({ event }) => event)).toEqual(['event 0', 'event 1', 'event 2'])
      expect(await journal.oldest(3)).toEqual(first)
      journal.settle(first[1]!.position)
      expect(journal.pending).toBe(3)
      expect((await journal.oldest(9)).map(({ event }) => event)).toEqual(['event 2', 'event 3', 'event 4'])
    })

    it('takes settled for granted: a second time changes nothing', async () => {
      append(3)
      const [first, second] = await journal.oldest(2)
      journal.settle(second!.position)
      journal.settle(first!.position)
      journal.settle(second!.position)
      expect(journal.pending).toBe(1)
    })

    it('keeps the order while events come and groups go', async () => {
      const events: string[] = []
      for (let round = 0; round < 40; round++) {
        append(7, round * 7)
        const group = await journal.oldest(5)
        events.push(...group.map(({ event }) => event))
        journal.settle(group.at(-1)!.position)
      }
      events.push(...(await settleAll(50)))
      expect(events).toEqual(Array.from({ length: 280 }, (_, i) => `event ${i}`))
      expect(journal.pending).toBe(0)
    })

    it('refuses what is more than it holds, says so before, and has room again for what was settled', async () => {
      let taken = 0
      let toldBefore = false
      while (journal.append(`event ${taken} ${'x'.repeat(200)}`)) {
        taken++
        toldBefore ||= journal.full
      }
      expect(toldBefore).toBe(true)
      expect(taken).toBeGreaterThan(100)
      expect(journal.pending).toBe(taken)
      expect(await settleAll(50)).toHaveLength(taken)
      expect(journal.full).toBe(false)
      append(100)
      expect(await settleAll(50)).toHaveLength(100)
    })

    it('tells all that is not settled, in its order', async () => {
      append(300)
      journal.settle((await journal.oldest(7)).at(-1)!.position)
      const events: string[] = []
      for await (const { event } of journal.unsettled()) events.push(event)
      expect(events).toEqual(Array.from({ length: 293 }, (_, i) => `event ${i + 7}`))
    })

    it('can be waited for', async () => {
      append(1)
      await journal.written()
      await journal.written()
      append(10)
      await journal.flush()
      await journal.flush()
      expect(journal.pending).toBe(11)
    })
  })
}
