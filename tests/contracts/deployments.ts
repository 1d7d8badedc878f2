/** What every store of deployments promises, wherever it is kept. */
import { randomUUID } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Deployment, Member, NewDeployment } from '../../src/domain/deployment.ts'
import type { Deployments } from '../../src/ports.ts'
import { newDeployment } from '../support/deployment.ts'

const start = new Date('2026-11-25T12:00:00.000Z')
const after = (ms: number) => new Date(start.getTime() + ms)

export function deploymentsContract(name: string, create: () => Promise<Deployments>): void {
  describe(`${name}, as every store of deployments,`, () => {
    let store: Deployments
    beforeEach(async () => {
      store = await create()
    })
    const begin = async (own: Partial<NewDeployment> = {}) =>
      (await store.create(newDeployment(own), start, start)) as Deployment
    const member = (own: Partial<Member> = {}): Member => ({
      rentalId: randomUUID(),
      state: 'ready',
      since: 7,
      origin: 'http://203.0.113.7:40123',
      misses: 0,
      ...own,
    })
    const standing = (members: Member[]) => ({
      members,
      spent: 1_250_000,
      failures: 2,
      retryAt: after(9_000),
      reason: 'host_lost',
      gaveUp: true,
    })

    it('keeps what was asked for, and shows it to its account alone', async () => {
      const asked = newDeployment({
        fallbacks: ['gpt-4o', 'a "quoted" one'],
        maxHours: 1.5,
        secrets: { apiKey: 'secret', huggingFaceToken: 'hf_1' },
      })
      const made = await store.create(asked, start, after(60_000))
      expect(made).toEqual({
        ...asked,
        version: 0,
        createdAt: start,
        endAskedAt: undefined,
        dueAt: after(60_000),
        members: [],
        spent: 0,
        failures: 0,
        retryAt: undefined,
        reason: undefined,
        gaveUp: false,
        busy: {},
      })
      expect(await store.find(asked.accountId, asked.id)).toEqual(made)
      expect(await store.find(randomUUID(), asked.id)).toBeUndefined()
      expect(await store.list(randomUUID(), { limit: 5 })).toEqual([])
    })

    it('gives a name of an account to one, until that is gone', async () => {
      const accountId = randomUUID()
      const asked = await Promise.all([1, 2, 3].map(() => store.create(newDeployment({ accountId }), start, start)))
      expect(asked.filter((each) => each === 'name_taken')).toHaveLength(2)
      await begin()
      const first = asked.find((each) => typeof each !== 'string') as Deployment
      expect(await store.remove({ ...first, version: first.version + 1 }), 'another version').toBe(false)
      expect(await store.remove({ ...first, accountId: randomUUID() })).toBe(false)
      expect(await store.remove(first)).toBe(true)
      expect(await store.remove(first)).toBe(false)
      expect(await store.find(accountId, first.id)).toBeUndefined()
      expect(await store.change(first, { replicas: 3 })).toBeUndefined()
      expect(await store.create(newDeployment({ accountId }), start, start)).toMatchObject({ name: 'mine' })
    })

    it('lets an account have so many', async () => {
      const accountId = randomUUID()
      for (let n = 0; n < 50; n++) await begin({ accountId, name: `n${n}` })
      expect(await store.create(newDeployment({ accountId, name: 'one more' }), start, start)).toBe('too_many')
      expect(await store.create(newDeployment(), start, start)).toMatchObject({ version: 0 })
    })

    it('lists in pages, the newest first', async () => {
      const accountId = randomUUID()
      const ids = [1, 2, 3, 4].map((n) => `0000000${n}-0000-7000-8000-000000000000`)
      const made = await Promise.all(ids.map((id) => begin({ id, accountId, name: id })))
      await store.remove(made[1]!)
      const first = await store.list(accountId, { limit: 2 })
      const second = await store.list(accountId, { limit: 2, before: first.at(-1)?.id })
      expect([...first, ...second].map(({ id }) => id)).toEqual([ids[3], ids[2], ids[0]])
    })

    it('is changed by the one alone who saw how it stands', async () => {
      const seen = await begin()
      const changed = await Promise.all([1, 2, 3].map((replicas) => store.change(seen, { replicas })))
      expect(changed.filter(Boolean)).toHaveLength(1)
      const now = changed.find(Boolean)!
      expect(now.version).toBeGreaterThan(seen.version)
      expect(await store.find(seen.accountId, seen.id)).toEqual(now)
      expect(await store.change({ ...now, accountId: randomUUID() }, { replicas: 9 })).toBeUndefined()
    })

    it('keeps how it stands, and leaves the rest as it was', async () => {
      const seen = await begin()
      const how = standing([member(), member({ state: 'starting', origin: undefined })])
      const stands = await store.change(seen, { standing: how, dueAt: after(2_000) })
      expect(stands).toEqual({ ...seen, ...how, dueAt: after(2_000), version: stands!.version })
      const ended = await store.change(stands!, { endAskedAt: after(3_000) })
      expect(ended).toEqual({ ...stands, endAskedAt: after(3_000), version: ended!.version })
      const calm = await store.change(ended!, {
        standing: { ...how, retryAt: undefined, reason: undefined, gaveUp: false, failures: 0 },
      })
      expect(calm).toMatchObject({ retryAt: undefined, reason: undefined, gaveUp: false })
    })

    it('hands out what is due to one pod at a time, the oldest first', async () => {
      const first = await begin()
      const second = await store.change(await begin(), { dueAt: after(1_000) })
      const third = await store.change(await begin(), { dueAt: after(5_000) })
      const take = (ms: number, max = 5, forMs = 60_000) => store.takeDue({ now: after(ms), max, forMs })
      const taken = (await Promise.all([take(2_000), take(2_000)])).flat()
      expect(taken.map(({ id }) => id).sort()).toEqual([first.id, second!.id].sort())
      expect(taken.every(({ dueAt }) => dueAt.getTime() === after(62_000).getTime())).toBe(true)
      expect(await store.change(second!, { replicas: 1 }), 'another is at it').toBeUndefined()
      expect(await take(2_000)).toEqual([])
      const ids = async (due: Promise<Deployment[]>) => (await due).map(({ id }) => id)
      expect(await ids(take(62_000, 5, 0)), 'whose clock is ahead takes what nobody is at').toEqual([third!.id])
      expect(await ids(take(62_000)), 'for so long').toEqual([third!.id])
      await store.remove((await store.find(first.accountId, first.id))!)
      const scaled = await store.change((await store.find(second!.accountId, second!.id))!, { replicas: 3 })
      expect(await take(62_000)).toEqual([])
      await store.change(scaled!, { dueAt: after(62_000) })
      expect(await ids(take(62_000)), 'and until it is said when it is due').toEqual([second!.id])
    })

    it('leaves one to whoever creates it', async () => {
      const made = await store.create(newDeployment(), start, after(60_000))
      const take = () => store.takeDue({ now: after(90_000), max: 5, forMs: 60_000 })
      expect(await take(), 'whatever clock the other pod has').toEqual([])
      await store.change(made as Deployment, { dueAt: start })
      expect(await take()).toHaveLength(1)
    })

    it('tells of those of all accounts', async () => {
      const first = await store.change(await begin(), { standing: standing([member()]) })
      const second = await begin()
      await store.remove(await begin())
      const sorted = [first!, second].sort((a, b) => (a.id < b.id ? -1 : 1))
      expect(await store.all()).toEqual(sorted)
    })

    it("notes what is busy beside another's change, and forgets it when told", async () => {
      const seen = await begin()
      await store.noteBusy(seen, ['a', 'b'], after(1))
      await store.noteBusy(seen, ['b'], after(2))
      await store.noteBusy({ ...seen, accountId: randomUUID() }, ['c'], after(3))
      const changed = await store.change(seen, { replicas: 5 })
      expect(changed).toMatchObject({ busy: { a: after(1).getTime(), b: after(2).getTime() }, replicas: 5 })
      expect(changed?.busy).not.toHaveProperty('c')
      expect((await store.change(changed!, { noneBusy: true }))?.busy).toEqual({})
    })
  })
}
