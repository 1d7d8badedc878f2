/** What every store of idempotency keys promises, wherever it is kept. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Ending, type HeldKey, keptMs, silentMs } from '../../src/domain/idempotency.ts'
import type { Idempotency } from '../../src/ports.ts'

interface World {
  store: Idempotency
  /** Of all keys that there are, it is so much later. */
  age(ms: number): Promise<void>
  close?: () => Promise<void>
}

const answered: Ending = {
  outcome: 'answered',
  answer: {
    status: 201,
    headers: { 'content-type': 'text/plain', location: '/there "quoted"' },
    body: new Uint8Array([0, 255, 10, 65]),
  },
}

export function idempotencyContract(name: string, create: () => Promise<World>): void {
  describe(`${name}, as every store of keys,`, () => {
    let world: World
    let store: Idempotency
    beforeAll(async () => {
      world = await create()
      store = world.store
    })
    afterAll(() => world.close?.())

    const newKey = (own: Partial<HeldKey> = {}): HeldKey => ({
      accountId: randomUUID(),
      digest: randomUUID(),
      requestId: randomUUID(),
      ...own,
    })
    const other = (key: HeldKey): HeldKey => ({ ...key, requestId: randomUUID() })
    const claimed = async () => {
      const key = newKey()
      expect(await store.claim(key, 'f')).toEqual({ state: 'claimed' })
      return key
    }

    it('gives a key to one of a hundred, and tells the others whose it is', async () => {
      const first = newKey()
      const keys = Array.from({ length: 100 }, () => other(first))
      const claims = await Promise.all(keys.map((key) => store.claim(key, 'f')))
      const winner = claims.findIndex(({ state }) => state === 'claimed')
      expect(claims.filter(({ state }) => state === 'claimed')).toHaveLength(1)
      expect(await store.claim(first, 'f')).toEqual({ state: 'running', requestId: keys[winner]!.requestId })
    })

    it('knows another request by its fingerprint, while it runs and afterwards', async () => {
      const key = await claimed()
      expect(await store.claim(other(key), 'g')).toEqual({ state: 'mismatch' })
      await store.end(key, answered)
      expect(await store.claim(other(key), 'g')).toEqual({ state: 'mismatch' })
    })

    it('lets another account use the same key', async () => {
      const key = await claimed()
      expect(await store.claim(newKey({ digest: key.digest }), 'f')).toEqual({ state: 'claimed' })
    })

    it.each<Ending>([answered, { outcome: 'too_large' }, { outcome: 'lost' }])(
      'tells how it ended ($outcome), byte for byte',
      async (ending) => {
        const key = await claimed()
        await store.end(key, ending)
        const claim = await store.claim(other(key), 'f')
        expect(claim).toMatchObject({ state: 'ended', requestId: key.requestId })
        expect(plain((claim as { ending: Ending }).ending)).toEqual(plain(ending))
      },
    )

    it('keeps the first answer, and takes one for what was given up as lost', async () => {
      const key = await claimed()
      await store.end(key, { outcome: 'lost' })
      await store.end(key, answered)
      await store.end(key, { outcome: 'lost' })
      await store.end(key, { outcome: 'too_large' })
      expect(await store.claim(other(key), 'f')).toMatchObject({ ending: { outcome: 'answered' } })
    })

    it('is free again once it is released, and not by others, nor after it ended', async () => {
      const key = await claimed()
      await store.release(other(key))
      expect(await store.claim(other(key), 'f')).toMatchObject({ state: 'running' })
      await store.release(key)
      const next = other(key)
      expect(await store.claim(next, 'another body')).toEqual({ state: 'claimed' })
      await store.end(next, answered)
      await store.release(next)
      expect(await store.claim(other(key), 'another body')).toMatchObject({ state: 'ended' })
    })

    it('is free also where it was given up as lost and the execution comes back to say that nothing came of it', async () => {
      const key = await claimed()
      await store.end(key, { outcome: 'lost' })
      await store.release(key)
      expect(await store.claim(other(key), 'f')).toEqual({ state: 'claimed' })
    })

    it('notices an execution that has gone silent, and lets one of many take it over', async () => {
      const key = await claimed()
      await world.age(silentMs - 5_000)
      expect(await store.takeOver(other(key), key)).toBe(false)
      expect(await store.claim(other(key), 'f')).toMatchObject({ state: 'running' })
      await world.age(5_000)
      expect(await store.claim(other(key), 'f')).toEqual({
        state: 'silent',
        requestId: key.requestId,
        podId: expect.any(String),
      })
      expect(await store.claim(other(key), 'g')).toEqual({ state: 'mismatch' })

      const heirs = Array.from({ length: 20 }, () => other(key))
      const taken = await Promise.all(heirs.map((heir) => store.takeOver(heir, key)))
      expect(taken.filter(Boolean)).toHaveLength(1)
      const heir = heirs[taken.indexOf(true)]!
      expect(await store.claim(other(key), 'f')).toEqual({ state: 'running', requestId: heir.requestId })

      // What the former one does now is nothing.
      await store.end(key, { outcome: 'lost' })
      await store.release(key)
      expect(await store.claim(other(key), 'f')).toEqual({ state: 'running', requestId: heir.requestId })
      await world.age(silentMs)
      await store.beat([key])
      expect(await store.claim(other(key), 'f')).toMatchObject({ state: 'silent', requestId: heir.requestId })
      // Nor is it what somebody who saw it silent before may take over.
      expect(await store.takeOver(other(key), key)).toBe(false)
      await store.end(heir, answered)
      expect(await store.takeOver(other(key), heir)).toBe(false)
    })

    it('hears of those under way together, and of no others', async () => {
      const [one, two, three] = [await claimed(), await claimed(), await claimed()]
      await world.age(silentMs)
      await store.beat([one, two])
      await store.beat([])
      const states = await Promise.all([one, two, three].map(async (key) => (await store.claim(other(key), 'f')).state))
      expect(states).toEqual(['running', 'running', 'silent'])
      expect(await store.takeOver(other(one), one)).toBe(false)
    })

    it('forgets a key after its time, also where nobody has purged it', async () => {
      const [ended, running] = [await claimed(), await claimed()]
      await store.end(ended, answered)
      await world.age(keptMs - 5_000)
      await store.beat([running])
      expect(await store.claim(other(ended), 'f')).toMatchObject({ state: 'ended' })
      expect(await store.claim(other(running), 'f')).toMatchObject({ state: 'running' })
      await world.age(5_000)
      expect(await store.claim(other(ended), 'another body')).toEqual({ state: 'claimed' })
      expect(await store.claim(other(running), 'another body')).toEqual({ state: 'claimed' })
    })

    it('forgets all keys of one account', async () => {
      const [mine, other] = [await claimed(), await claimed()]
      await store.end(mine, answered)
      await store.forget(mine.accountId)
      expect(await store.claim(mine, 'another body')).toEqual({ state: 'claimed' })
      expect(await store.claim({ ...other, requestId: mine.requestId }, 'f')).toMatchObject({ state: 'running' })
      await store.forget(mine.accountId)
    })

    it('purges what is old in steps, and nothing else', async () => {
      await store.purge(1_000_000)
      await Promise.all(Array.from({ length: 5 }, claimed))
      await world.age(keptMs)
      expect(await store.purge(0)).toBe(0)
      const young = await claimed()
      let purged = 0
      for (let now = -1; now !== 0; purged += now) {
        now = await store.purge(3)
        expect(now).toBeLessThanOrEqual(3)
      }
      expect(purged).toBeGreaterThanOrEqual(5)
      expect(await store.claim(other(young), 'f')).toMatchObject({ state: 'running' })
    })
  })
}

/** Bytes are bytes, whatever class holds them. */
const plain = (ending: Ending) =>
  ending.outcome === 'answered' ? { ...ending, answer: { ...ending.answer, body: [...ending.answer.body] } } : ending
