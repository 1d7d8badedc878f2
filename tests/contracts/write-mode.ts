/** What every switch between reading and writing promises, wherever it is kept. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { WriteMode } from '../../src/ports.ts'

export function writeModeContract(
  name: string,
  create: () => Promise<{ mode: WriteMode; close?: () => Promise<void> }>,
): void {
  describe(`${name}, as every switch,`, () => {
    let world: Awaited<ReturnType<typeof create>>
    beforeAll(async () => {
      world = await create()
    })
    afterAll(() => world.close?.())

    it('lets all be written to begin with', () => {
      expect(world.mode.readOnly).toBe(false)
      expect(world.mode.status()).toEqual({ readOnly: false, reason: undefined, since: undefined, stored: true })
    })

    it('is in force at once, says why and since when, and is undone as soon', async () => {
      const on = await world.mode.set(true)
      expect(on).toEqual({ readOnly: true, reason: 'operator', since: expect.any(Date), stored: true })
      expect(world.mode.readOnly).toBe(true)
      expect(await world.mode.set(true), 'said again it is not newer').toEqual(on)
      expect(await world.mode.set(false)).toEqual({
        readOnly: false,
        reason: undefined,
        since: undefined,
        stored: true,
      })
      expect(world.mode.readOnly).toBe(false)
    })
  })
}
