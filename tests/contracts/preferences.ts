/** What every store of preferences promises, wherever it is kept. */
import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { Preference } from '../../src/domain/preference.ts'
import type { Preferences } from '../../src/ports.ts'

export const newPreference = (own: Partial<Preference> = {}): Preference => ({
  name: 'cheap-cards',
  models: ['RTX 4090', 'a "quoted" one'],
  filters: { provider: 'vast.ai', min_vram: 24, verified: false },
  maxPrice: 800_000,
  fallbackPricePercent: 12.5,
  updatedAt: new Date('2026-11-26T01:02:03.004Z'),
  ...own,
})

export function preferencesContract(name: string, create: () => Promise<Preferences>): void {
  describe(`${name}, as every store of preferences,`, () => {
    it('keeps what was saved, for its account alone', async () => {
      const store = await create()
      const [owner, other] = [randomUUID(), randomUUID()]
      expect(await store.save(owner, newPreference())).toBe('created')
      expect(await store.find(owner, 'cheap-cards')).toEqual(newPreference())
      expect(await store.find(other, 'cheap-cards')).toBeUndefined()
      expect(await store.list(other)).toEqual([])
      expect(await store.remove(other, 'cheap-cards')).toBe(false)
      expect(await store.save(other, newPreference({ models: ['H100'] }))).toBe('created')
      expect(await store.find(owner, 'cheap-cards')).toEqual(newPreference())
    })

    it('replaces the one of a name, and forgets one that is removed', async () => {
      const store = await create()
      const owner = randomUUID()
      await store.save(owner, newPreference())
      const bare = newPreference({ filters: {}, maxPrice: undefined, fallbackPricePercent: undefined })
      expect(await store.save(owner, bare)).toBe('replaced')
      expect(await store.list(owner)).toEqual([bare])
      expect(await store.remove(owner, bare.name)).toBe(true)
      expect(await store.remove(owner, bare.name)).toBe(false)
      expect(await store.find(owner, bare.name)).toBeUndefined()
    })

    it('lists by name, and lets an account have fifty', async () => {
      const store = await create()
      const owner = randomUUID()
      const names = Array.from({ length: 49 }, (_, n) => `n${n}`)
      for (const each of names) await store.save(owner, newPreference({ name: each }))
      const last = await Promise.all(['B', 'a'].map((each) => store.save(owner, newPreference({ name: each }))))
      expect(last.sort()).toEqual(['created', 'too_many'])
      expect(await store.save(owner, newPreference({ name: 'n7', maxPrice: 1 }))).toBe('replaced')
      expect(await store.save(randomUUID(), newPreference())).toBe('created')
      const listed = (await store.list(owner)).map((each) => each.name)
      expect(listed).toHaveLength(50)
      expect(listed).toEqual([...listed].sort())
    })
  })
}
