/** What every store of rentals promises, wherever it is kept: what is rented and the money for it never part. */
import { randomUUID } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import { hourOperation, type NewRental, type Rental } from '../../src/domain/rental.ts'
import { dayOf } from '../../src/domain/statement.ts'
import type { Credits, Guardrails, HoldRefusal, HoldTerms, LedgerStore, Rentals, Statements } from '../../src/ports.ts'
import { newRental } from '../support/new-rental.ts'

export interface RentalWorld {
  rentals: Rentals
  credits: Credits
  statements: Statements
  guardrails: Guardrails
  ledgerStore: Pick<LedgerStore, 'lease' | 'stateOf'>
  /** Fails where the books are not what they must be. */
  sound(): Promise<void>
}

export function rentalsContract(name: string, create: () => Promise<RentalWorld>): void {
  describe(`${name}, as every store of rentals,`, () => {
    let world: RentalWorld
    let rentals: Rentals
    let accountId: string
    let terms: HoldTerms
    const keyId = randomUUID()
    const now = () => new Date(Date.now())
    beforeEach(async () => {
      world = await create()
      rentals = world.rentals
      accountId = randomUUID()
      terms = { accountId, purseId: accountId, budgets: undefined }
      await world.credits.grant(accountId, { id: randomUUID(), kind: 'granted', amount: 1_000 })
    })

    const order = (own: Partial<NewRental> = {}) => newRental({ accountId, keyId, ...own })
    const begun = async (hold = 100, own: Partial<NewRental> = {}) => {
      const [rental] = rentalsIn(await rentals.begin([{ rental: order(own), hold }], terms))
      return rental!
    }
    const running = async (hold = 100) => {
      const at = now()
      const creating = await rentals.change(await begun(hold), { state: 'creating', createSentAt: at })
      return (await rentals.change(creating!, { state: 'running', marketId: '77', startedAt: at, accruedAt: at }))!
    }
    const hour = (settle: number, next: number, at = now()) => ({ at, settle, next, dueAt: now() })
    const turned = async (rental: Rental, settle: number, next: number, at = now()) => {
      const answer = await rentals.nextHour(rental, hour(settle, next, at), terms)
      return rentalsIn(answer === undefined || 'refused' in answer ? answer : [answer])[0]!
    }
    const ended = async (rental: Rental, settle: number, refund = 0) => {
      const ending = await rentals.change(rental, { state: 'ending', reason: 'owner' })
      return rentals.end(ending!, { at: now(), state: 'gone', reason: 'owner', settle, refund })
    }
    const balance = () => world.statements.balance(accountId)
    const shown = async () => {
      const entries = await world.statements.transactions(accountId, { limit: 50 })
      return entries
        .filter(({ kind }) => kind !== 'granted')
        .map(({ kind, amount, operationId, instanceId }) => [kind, amount, operationId, instanceId])
    }
    const used = async () => {
      const today = dayOf(Date.now())
      const rows = await world.statements.usage(accountId, { groupBy: 'model', from: '2020-01-01', to: today })
      return rows.map(({ group, requests, cost }) => ({ group, requests, cost }))
    }
    const spent = async () => [...(await world.guardrails.state(accountId)).spent.values()].reduce((a, b) => a + b, 0)

    it('holds under its own id, which tells what became of it', async () => {
      const state = (id: string) => world.ledgerStore.stateOf(accountId, id)
      const [rental, unmade] = [await running(), await begun()]
      expect(await state(rental.id)).toBe('hold')
      await ended(rental, 30)
      await rentals.end(unmade, { at: now(), state: 'gone', reason: 'not_created', settle: 0, refund: 0 })
      expect([await state(rental.id), await state(unmade.id), await state(randomUUID())]).toEqual([
        'settle',
        'release',
        undefined,
      ])
    })

    it('begins all and holds for all of them, and finds them as they were asked for', async () => {
      const wanted = [order(), order({ reservationId: randomUUID() })].map((rental) => ({ rental, hold: 300 }))
      const two = rentalsIn(await rentals.begin(wanted, terms))
      expect(two).toMatchObject([{ state: 'intended', held: 300, hour: 0, settled: 0 }, { held: 300 }])
      // Whoever asked for one alone is at it; the background begins with those of a group.
      expect(two[0]!.dueAt.getTime() - two[0]!.createdAt.getTime()).toBe(60_000)
      expect(two[1]!.dueAt).toEqual(two[1]!.createdAt)
      expect(two.map(({ id }) => id)).toEqual(wanted.map(({ rental }) => rental.id))
      expect(await balance()).toEqual({ available: 400, held: 600 })
      const found = await rentals.find(accountId, two[1]!.id)
      expect(found).toEqual(two[1])
      const { spec, search, offer, keyId: paidBy } = wanted[1]!.rental
      expect({ spec: found?.spec, search: found?.search, offer: found?.offer }).toEqual({ spec, search, offer })
      expect(found).toMatchObject({ accountId, keyId: paidBy, reservationId: wanted[1]!.rental.reservationId })
      expect(await rentals.find(randomUUID(), two[1]!.id)).toBeUndefined()
      await world.sound()
    })

    it('told again answers what is there, and holds nothing more', async () => {
      const wanted = [order(), order()].map((rental) => ({ rental, hold: 300 }))
      const [first] = rentalsIn(await rentals.begin(wanted, terms))
      const changed = await rentals.change(first!, { state: 'creating' })
      const again = await Promise.all([rentals.begin(wanted, terms), rentals.begin(wanted, terms)])
      for (const answer of again) expect(rentalsIn(answer)[0]).toEqual(changed)
      expect(await balance()).toEqual({ available: 400, held: 600 })
      await world.sound()
    })

    it('begins none where the credit is not enough for all', async () => {
      const wanted = [order(), order()].map((rental) => ({ rental, hold: 501 }))
      const refused = { refused: 'credit', asked: 1_002, spendable: 1_000, elsewhere: 0 }
      expect(await rentals.begin(wanted, terms)).toEqual(refused)
      expect(await rentals.list(accountId, { limit: 10 })).toEqual([])
      expect(await balance()).toEqual({ available: 1_000, held: 0 })
    })

    it('of many who ask at once lets as many begin as there is credit for', async () => {
      const asked = Array.from({ length: 8 }, () => rentals.begin([{ rental: order(), hold: 300 }], terms))
      const answers = await Promise.all(asked)
      expect(answers.filter(Array.isArray)).toHaveLength(3)
      expect(await balance()).toEqual({ available: 100, held: 900 })
      await world.sound()
    })

    it('keeps within the guard rails, unless the account is only watched', async () => {
      await world.guardrails.setLimits(accountId, { '60min': 500 })
      await begun(300)
      const asked = [{ rental: order(), hold: 300 }]
      const block = { by: 'window', window: '60min', limit: 500, spent: 300, asked: 300 }
      expect(await rentals.begin(asked, terms)).toMatchObject({ refused: 'block', block })
      await world.guardrails.setShadow(accountId, true)
      expect(rentalsIn(await rentals.begin(asked, terms))).toHaveLength(1)
    })

    it('keeps within the budget of a key: what is held and what was used counts', async () => {
      const own = { ...terms, purseId: keyId, budgets: { keyId, perDay: 250, perMonth: undefined } }
      const first = rentalsIn(await rentals.begin([{ rental: order({ purseId: keyId }), hold: 100 }], own))[0]!
      const settled = rentalsIn([await rentals.nextHour(first, hour(90, 100), own)].flatMap((each) => each ?? []))
      expect(settled).toMatchObject([{ settled: 90, held: 100 }])
      const block = { by: 'budget', period: 'day', limit: 250, spent: 190, asked: 61 }
      expect(await rentals.begin([{ rental: order({ purseId: keyId }), hold: 61 }], own)).toEqual({
        refused: 'block',
        block,
      })
      expect(rentalsIn(await rentals.begin([{ rental: order({ purseId: keyId }), hold: 60 }], own))).toHaveLength(1)
    })

    it('keeps with an hour what the market had been paid when it was held', async () => {
      const rental = await begun()
      const first = await rentals.nextHour(rental, { ...hour(0, 100), paid: 77 }, terms)
      const [found] = await rentals.byIds([rental.id])
      expect([first, found]).toMatchObject(Array(2).fill({ hour: 1, paid: { hour: 1, amount: 77 } }))
      expect((await rentals.nextHour(found!, hour(0, 100), terms)) as Rental).toMatchObject({
        hour: 2,
        paid: undefined,
      })
    })

    it('changes the version that was seen, and no other', async () => {
      const rental = await begun()
      const changes = [1, 2, 3].map((n) => rentals.change(rental, { state: 'creating', failures: n, endpoints: [] }))
      const made = (await Promise.all(changes)).filter((each) => each !== undefined)
      expect(made).toHaveLength(1)
      expect(await rentals.find(accountId, rental.id)).toEqual(made[0])
      expect(made[0]).toMatchObject({ state: 'creating', version: rental.version + 1, held: 100 })
      expect(await rentals.change({ ...made[0]!, accountId: randomUUID() }, { failures: 9 })).toBeUndefined()
    })

    it('keeps what a change leaves out, and takes all that it names', async () => {
      const rental = await running()
      const successor = randomUUID()
      const at = new Date(now().getTime() + 5_000)
      const change = {
        endpoints: [{ port: 8000, origin: 'http://203.0.113.7:41234' }],
        tried: ['vastai:9', 'vastai:"quoted"'],
        offer: { ...rental.offer, id: 'ionet:2', market: 'ionet' },
        ...{ heardAt: at, dueAt: at, accruedAt: at, accrued: 7, failures: 2, replacedBy: successor },
      } as const
      const changed = await rentals.change(rental, change)
      expect(changed).toEqual({ ...rental, ...change, version: rental.version + 1 })
      expect(await rentals.find(accountId, rental.id)).toEqual(changed)
    })

    it('refuses a state that may not follow, and an end that settles nothing', async () => {
      const rental = await begun()
      await expect(rentals.change(rental, { state: 'stopped' })).rejects.toThrow(TypeError)
      await expect(rentals.change(rental, { state: 'gone' })).rejects.toThrow(TypeError)
      expect(await rentals.find(accountId, rental.id)).toEqual(rental)
    })

    it('settles an hour and holds the next; what the hour did not need counts', async () => {
      const rental = await running(900)
      const next = await turned(rental, 300, 700)
      expect(next).toMatchObject({ hour: 1, held: 700, settled: 300, accrued: 0, version: rental.version + 1 })
      expect(await rentals.find(accountId, rental.id)).toEqual(next)
      expect(await balance()).toEqual({ available: 0, held: 700 })
      expect(await shown()).toEqual([['settle', -300, hourOperation(rental.id, 0), rental.id]])
      expect(await used()).toEqual([{ group: 'gpu:RTX 4090', requests: 1, cost: 300 }])
      expect(await spent()).toBe(300)
      await turned(next, 200, 500)
      expect(await used(), 'one rental is one request').toEqual([{ group: 'gpu:RTX 4090', requests: 1, cost: 500 }])
      await world.sound()
    })

    it('changes nothing at all where the next hour is refused', async () => {
      const rental = await running(900)
      const refused = { refused: 'credit', asked: 701, spendable: 700, elsewhere: 0 }
      expect(await rentals.nextHour(rental, hour(300, 701), terms)).toEqual(refused)
      expect(await rentals.find(accountId, rental.id)).toEqual(rental)
      expect(await balance()).toEqual({ available: 100, held: 900 })
      expect([await shown(), await used(), await spent()]).toEqual([[], [], 0])
      await world.sound()
    })

    it('of two who turn or end an hour at once lets one, and the other comes too late', async () => {
      const rental = await running(300)
      const answers = await Promise.all([1, 2, 3].map(() => rentals.nextHour(rental, hour(100, 300), terms)))
      expect(answers.filter((each) => each !== undefined)).toHaveLength(1)
      const [next] = await rentals.byIds([rental.id])
      const ending = await rentals.change(next!, { state: 'ending', reason: 'credit' })
      const end = { at: now(), state: 'failed', reason: 'credit', settle: 50, refund: 0 } as const
      const ends = await Promise.all([1, 2, 3].map(() => rentals.end(ending!, end)))
      expect(ends.filter((each) => each !== undefined)).toHaveLength(1)
      expect(await balance()).toEqual({ available: 850, held: 0 })
      await world.sound()
    })

    it('ends it, forgets its secrets and holds nothing', async () => {
      const rental = await running(300)
      expect(rental.spec.env).toEqual({ HF_TOKEN: 'a canary of a secret' })
      const gone = await ended(rental, 120)
      expect(gone).toMatchObject({ state: 'gone', reason: 'owner', held: 0, settled: 120 })
      expect(gone!.spec).toMatchObject({ env: {}, args: [], onstart: undefined })
      expect(JSON.stringify(gone)).not.toContain('canary')
      expect(gone!.endedAt).toBeInstanceOf(Date)
      expect(await rentals.find(accountId, rental.id)).toEqual(gone)
      expect(await balance()).toEqual({ available: 880, held: 0 })
      expect(await rentals.change(gone!, { failures: 1 })).toBeUndefined()
      expect(await rentals.nextHour(gone!, hour(1, 1), terms)).toBeUndefined()
      await world.sound()
    })

    it('releases what came to nothing, and shows no transaction for it', async () => {
      const rental = await begun(300)
      await rentals.end(rental, { at: now(), state: 'gone', reason: 'not_created', settle: 0, refund: 0 })
      expect([await balance(), await shown(), await used()]).toEqual([{ available: 1_000, held: 0 }, [], []])
      await world.sound()
    })

    it('takes what is more than was held of the credit, and writes the rest off', async () => {
      await ended(await running(300), 350)
      expect(await balance()).toEqual({ available: 650, held: 0 })
      await ended(await running(600), 700)
      expect(await balance()).toEqual({ available: 0, held: 0 })
      expect((await shown()).map(([, amount]) => amount)).toEqual(expect.arrayContaining([-350, -650]))
      await world.sound()
    })

    it('gives back what hours before had come to too much, and what they count goes down with it', async () => {
      const second = await turned(await running(300), 300, 300)
      const gone = await ended(await turned(second, 300, 300), 20, 350)
      expect(gone).toMatchObject({ settled: 270 })
      expect(await balance()).toEqual({ available: 730, held: 0 })
      expect(await shown()).toContainEqual(['refund', 350, hourOperation(second.id, 0), second.id])
      expect(await used()).toEqual([{ group: 'gpu:RTX 4090', requests: 1, cost: 270 }])
      expect(await spent()).toBe(270)
      await world.sound()
    })

    it('gives back of the newest hour first, in the day and the minute of each', async () => {
      const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000)
      let rental = await running(300)
      for (const days of [3, 2, 1]) rental = await turned(rental, 100 * days, 300, daysAgo(days))
      await ended(rental, 0, 150)
      const days = { groupBy: 'day', from: dayOf(daysAgo(9).getTime()), to: dayOf(Date.now()) } as const
      const usage = await world.statements.usage(accountId, days)
      expect(usage.map(({ group, cost }) => [group, cost])).toEqual([
        [dayOf(daysAgo(3).getTime()), 300],
        [dayOf(daysAgo(2).getTime()), 150],
        [dayOf(daysAgo(1).getTime()), 0],
      ])
      expect(await spent()).toBe(450)
      await world.sound()
    })

    it('leaves to the pods what they have leased', async () => {
      const rental = await running(300)
      const slice = { accountId, purseId: accountId, processId: randomUUID(), podId: randomUUID() }
      await world.ledgerStore.lease({ ...slice, budgets: undefined, need: 500, want: 500 })
      const refused = { refused: 'credit', asked: 201, spendable: 200, elsewhere: 500 }
      expect(await rentals.begin([{ rental: order(), hold: 201 }], terms)).toEqual(refused)
      await ended(rental, 600)
      expect(await balance()).toEqual({ available: 500, held: 0 })
      await world.sound()
    })

    it('of several that end at once and come to more than there is pays each as far as it goes', async () => {
      const all: Rental[] = []
      for (let n = 0; n < 5; n++) all.push(await running(100))
      await Promise.all(all.map((rental) => ended(rental, 300)))
      expect(await balance()).toEqual({ available: 0, held: 0 })
      expect(await spent()).toBe(1_500)
      await world.sound()
    })

    it('gives back no more than was paid', async () => {
      const rental = await turned(await running(300), 100, 300)
      await expect(ended(rental, 0, 101)).rejects.toThrow(TypeError)
      await world.sound()
    })

    it('lets one that has failed be dismissed, and changes nothing else of it', async () => {
      const ending = await rentals.change(await running(), { state: 'ending', reason: 'host_lost' })
      const end = { at: now(), state: 'failed', reason: 'host_lost', settle: 10, refund: 0 } as const
      const failed = await rentals.end(ending!, end)
      expect(await rentals.end(failed!, { ...end, state: 'gone' })).toBeUndefined()
      const gone = await rentals.change(failed!, { state: 'gone' })
      expect(gone).toMatchObject({ state: 'gone', reason: 'host_lost', settled: 10 })
      expect(await rentals.change(gone!, { state: 'gone' })).toBeUndefined()
    })

    it('lists the newest first, page by page, without those that are gone unless they are asked for', async () => {
      const reservationId = randomUUID()
      const all: Rental[] = []
      for (const own of [{}, { reservationId }, { reservationId }, {}]) all.push(await begun(10, own))
      const ids = all.map(({ id }) => id).sort((a, b) => (a < b ? 1 : -1))
      const first = await rentals.list(accountId, { limit: 3 })
      expect(first.map(({ id }) => id)).toEqual(ids.slice(0, 3))
      const rest = await rentals.list(accountId, { limit: 3, before: ids[2] })
      expect(rest.map(({ id }) => id)).toEqual(ids.slice(3))
      expect(await rentals.list(accountId, { limit: 3, reservationId })).toHaveLength(2)
      expect(await rentals.list(accountId, { limit: 3, deploymentId: reservationId })).toEqual([])
      expect(await rentals.list(randomUUID(), { limit: 3 })).toEqual([])
      const end = { at: now(), state: 'gone', reason: 'owner', settle: 0, refund: 0 } as const
      await rentals.end(all[0]!, end)
      expect(await rentals.list(accountId, { limit: 10 })).toHaveLength(3)
      expect(await rentals.list(accountId, { limit: 10, withGone: true })).toHaveLength(4)
    })

    it('hands each that is due to one alone, the oldest first, and again later', async () => {
      const at = (ms: number) => new Date(now().getTime() + ms)
      const all: Rental[] = []
      for (const ms of [-3_000, -2_000, -1_000, 60_000]) {
        all.push((await rentals.change(await begun(10), { dueAt: at(ms) }))!)
      }
      const take = (max: number, now = at(0), forMs = 120_000) => rentals.takeDue({ now, max, forMs })
      const [first] = await take(1)
      expect(first?.id).toBe(all[0]!.id)
      const taken = (await Promise.all([take(2), take(2)])).flat()
      expect(taken.map(({ id }) => id).sort()).toEqual([all[1]!.id, all[2]!.id].sort())
      expect(await take(9)).toEqual([])
      expect(await rentals.change(all[1]!, { failures: 1 }), 'who saw it before comes too late').toBeUndefined()
      const ids = async (due: Promise<Rental[]>) => (await due).map(({ id }) => id)
      const fourth = await take(9, at(180_000), 0)
      expect(
        fourth.map(({ id }) => id),
        'whose clock is ahead takes what nobody is at',
      ).toEqual([all[3]!.id])
      expect(await ids(take(9, at(180_000))), 'for so long').toEqual([all[3]!.id])
      const heard = await rentals.change(first!, { heardAt: at(0) })
      expect(await take(9, at(180_000))).toEqual([])
      await rentals.change(heard!, { dueAt: at(0) })
      expect(await ids(take(9)), 'and until it is said when it is due').toEqual([first!.id])
    })

    it('leaves an hour that is held to whoever holds it', async () => {
      const rental = await running()
      await rentals.change(rental, { dueAt: now() })
      const take = (aheadMs: number) => rentals.takeDue({ now: new Date(Date.now() + aheadMs), max: 9, forMs: 120_000 })
      const [taken] = await take(0)
      const { dueAt, ...held } = hour(90, 100)
      const next = rentalsIn([await rentals.nextHour(taken!, held, terms)].flatMap((each) => each ?? []))
      expect(next).toMatchObject([{ hour: 1, dueAt: taken!.dueAt }])
      expect(await take(180_000)).toEqual([])
      await rentals.nextHour(next[0]!, { ...held, dueAt }, terms)
      expect(await take(180_000)).toHaveLength(1)
    })

    it('tells all that are not final of a market, any by their ids, and counts them', async () => {
      const one = await begun(10)
      const other = await begun(10, { offer: { ...one.offer, market: 'ionet', id: 'ionet:1' } })
      const gone = (await ended(await running(10), 0))!
      expect((await rentals.live('vastai')).map(({ id }) => id)).toEqual([one.id])
      expect((await rentals.live('ionet')).map(({ id }) => id)).toEqual([other.id])
      const found = await rentals.byIds([gone.id, randomUUID(), one.id])
      expect(found.map(({ id }) => id).sort()).toEqual([gone.id, one.id].sort())
      expect(await rentals.byIds([])).toEqual([])
      expect(await rentals.counts()).toEqual(
        expect.arrayContaining([
          { market: 'vastai', state: 'intended', count: 1 },
          { market: 'ionet', state: 'intended', count: 1 },
        ]),
      )
      expect(await rentals.counts()).toHaveLength(2)
    })
  })
}

function rentalsIn(answer: Rental[] | HoldRefusal | (Rental | HoldRefusal)[] | undefined): Rental[] {
  const all = Array.isArray(answer) ? answer : [answer]
  return all.map((each) => {
    if (each === undefined || 'refused' in each) throw new Error(`no rental: ${JSON.stringify(each)}`)
    return each
  })
}
