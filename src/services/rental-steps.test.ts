import { beforeAll, describe, expect, it } from 'vitest'
import { ionetOffer, payer, rentalWorld, spec, vastOffers } from '../../tests/support/rental-world.ts'
import type { RentalOffer } from '../domain/rental.ts'
import { instruments } from '../telemetry/instruments.ts'

let offers: RentalOffer[]
beforeAll(async () => {
  offers = await vastOffers()
})

const search = { filter: {}, spread: false }
const hourMs = 3_600_000

describe('renting', () => {
  it('rents one machine under its label, and holds its hour', async () => {
    const { rent, controls, spendable } = rentalWorld('vastai', offers)
    const rental = await rent()
    expect(rental).toMatchObject({ state: 'starting', marketId: controls.machines()[0]!.id })
    expect(controls.machines()[0]!.label).toBe(`aiserve-0123abcd-${rental.id}`)
    expect(spendable()).toBe(1e9 - rental.held)
  })

  it('takes the next offer where one has gone, no dearer than what is held', async () => {
    const { rent, controls } = rentalWorld('vastai', offers)
    controls.raceOffer(offers[0]!.id.slice(7))
    const rental = await rent()
    expect(rental).toMatchObject({ state: 'starting', tried: [offers[0]!.id], offer: { id: offers[1]!.id } })
    expect(rental.offer.pricePerHour).toBeLessThanOrEqual(rental.held)
  })

  it('tries five offers at most, and gives back what was held', async () => {
    const { rent, controls, spendable, rows } = rentalWorld('vastai', offers)
    for (const { id } of offers) controls.raceOffer(id.slice(7))
    await expect(rent()).rejects.toMatchObject({ code: 'offer_gone' })
    expect(rows()).toMatchObject([{ state: 'gone', reason: 'no_offer' }])
    expect(rows()[0]!.tried).toHaveLength(4)
    expect(spendable()).toBe(1e9)
  })

  it.each<[string, number, string]>([
    ['a refusal', 400, 'market_refused'],
    ['a bad credential', 401, 'upstream_credential'],
    ['a wish for quiet', 429, 'upstream_throttled'],
  ])('holds nothing after %s', async (_, status, code) => {
    const { rent, market, spendable } = rentalWorld('vastai', offers)
    market.setFaults([{ kind: 'status', status, match: { method: 'PUT' } }])
    await expect(rent()).rejects.toMatchObject({ code })
    expect(spendable()).toBe(1e9)
  })

  it('sends nothing without the credit for an hour', async () => {
    const { rent, market } = rentalWorld('vastai', offers, { credit: 1 })
    await expect(rent()).rejects.toMatchObject({ code: 'insufficient_credit' })
    expect(market.calls()).toBe(0)
  })

  it('keeps what is not known to have failed', async () => {
    const { rent, market, controls, live } = rentalWorld('vastai', offers)
    market.setFaults([{ kind: 'swallow_reply', match: { method: 'PUT' } }])
    const rental = await rent()
    expect(rental).toMatchObject({ state: 'unknown' })
    await live(10 * 60_000)
    expect(controls.machines()).toHaveLength(1)
  })
})

describe('after a crash', () => {
  it('a lone intent is released after a minute, and nothing was rented', async () => {
    const { rentals, desk, pass, live, rows, spendable, controls } = rentalWorld('vastai', offers)
    const [begun] = await pass(desk.begin(payer, { spec, search }, 1))
    await live(40_000)
    expect((await rentals.find('account', begun!.id))?.state).toBe('intended')
    await live(60_000)
    expect(rows()).toMatchObject([{ state: 'gone', reason: 'not_created' }])
    expect(spendable()).toBe(1e9)
    expect(controls.machines()).toHaveLength(0)
  })

  it('an intent of a group is gone on with', async () => {
    const { desk, pass, live, rows, controls } = rentalWorld('vastai', offers)
    await pass(desk.begin(payer, { spec, search, reservationId: 'r' }, 3))
    await live(60_000)
    expect(rows().map(({ state }) => state)).toEqual(['starting', 'starting', 'starting'])
    expect(controls.machines()).toHaveLength(3)
  })

  it('a create that was out is not sent again', async () => {
    const { desk, rentals, pass, live, rows, market } = rentalWorld('vastai', offers)
    const [begun] = await pass(desk.begin(payer, { spec, search, reservationId: 'r' }, 1))
    await rentals.change(begun!, { state: 'creating', dueAt: begun!.createdAt })
    await live(10 * 60_000)
    expect(rows()).toMatchObject([{ state: 'unknown' }])
    expect(market.calls()).toBe(0)
  })
})

describe('by the second', () => {
  it('turns each hour, and in the end charges what the market does', async () => {
    const { rent, live, rows, desk, controls, spendable } = rentalWorld('vastai', offers)
    const rental = await rent()
    await live(3.5 * hourMs, 30_000)
    expect(rows()).toMatchObject([{ hour: 3, held: rental.offer.pricePerHour }])
    await desk.end(rows()[0]!, 'owner')
    await live(60_000, 5_000)
    const [bill] = controls.bill()
    expect(bill).toMatchObject({ ended: true })
    expect(rows()).toMatchObject([{ state: 'gone', held: 0, settled: bill!.microUsd }])
    expect(spendable()).toBe(1e9 - bill!.microUsd)
  })

  it('destroys it before an hour begins that cannot be held', async () => {
    const [offer] = offers
    const credit = Math.round(offer!.pricePerHour * 1.5)
    const { rent, live, rows, controls, spendable } = rentalWorld('vastai', [offer!], { credit })
    await rent()
    await live(hourMs, 10_000)
    expect(rows()).toMatchObject([{ state: 'failed', reason: 'credit' }])
    expect(controls.bill()[0]).toMatchObject({ ended: true })
    expect(controls.bill()[0]!.microUsd).toBeLessThanOrEqual(offer!.pricePerHour)
    expect(spendable()).toBe(credit - controls.bill()[0]!.microUsd)
  })

  it('destroys it before an hour begins that passes what may be spent in a day', async () => {
    const [offer] = offers
    const windowLimits = { '1440min': Math.round(offer!.pricePerHour * 2.5) }
    const { rent, live, rows, controls } = rentalWorld('vastai', [offer!], { windowLimits })
    await rent()
    await live(2.5 * hourMs, 10_000)
    expect(rows()).toMatchObject([{ state: 'failed', reason: 'guardrail', hour: 1 }])
    expect(controls.bill()).toMatchObject([{ ended: true, microUsd: rows()[0]!.settled }])
    expect(rows()[0]!.settled).toBeLessThanOrEqual(2 * offer!.pricePerHour)
  })

  it('ends after max_hours', async () => {
    const { rent, live, rows, controls } = rentalWorld('vastai', offers)
    await rent({ maxHours: 1 })
    await live(hourMs + 60_000, 10_000)
    expect(rows()).toMatchObject([{ state: 'failed', reason: 'max_hours', hour: 0 }])
    expect(controls.machines()).toHaveLength(0)
  })

  it('asks for the end until there is one', async () => {
    const { rent, live, rows, desk, market, controls } = rentalWorld('vastai', offers)
    const rental = await rent()
    await desk.end(rental, 'owner')
    market.setFaults([{ kind: 'status', status: 500 }])
    await live(5 * 60_000)
    expect(rows()).toMatchObject([{ state: 'ending' }])
    market.setFaults([])
    await live(5 * 60_000)
    expect(rows()).toMatchObject([{ state: 'gone' }])
    expect(controls.machines()).toHaveLength(0)
  })

  it('tells once of a machine that its market goes on showing, whatever is asked of it', async () => {
    const { rent, live, desk, control, metrics, told } = rentalWorld('vastai', offers)
    const rental = await rent()
    control.destroy = async () => 'accepted'
    await desk.end(rental, 'owner')
    await live(8 * 60_000)
    expect(metrics.counted(instruments.gpuStuck)).toBe(0)
    await live(60 * 60_000)
    expect(metrics.counted(instruments.gpuStuck, { provider: 'vastai' })).toBe(1)
    expect(told).toEqual([
      `a rented machine can neither be ended nor gone on with: ${rental.id}, ${rental.marketId} at its market`,
    ])
  })

  it('charges no more than was agreed, whatever the market does', async () => {
    const { rent, live, rows, desk, controls } = rentalWorld('vastai', offers)
    const rental = await rent()
    controls.raisePrice(rental.marketId!, 10)
    await live(hourMs / 2, 30_000)
    await desk.end(rows()[0]!, 'owner')
    await live(60_000, 5_000)
    expect(rows()[0]!.settled).toBeLessThan(rental.offer.pricePerHour * 0.52)
    expect(controls.bill()[0]!.microUsd).toBeGreaterThan(rental.offer.pricePerHour)
  })

  it('waits for a bill that is drawn up hours later, and charges that', async () => {
    const { rent, live, rows, desk, controls, spendable } = rentalWorld('vastai', offers)
    const rental = await rent()
    await live(hourMs / 2, 30_000)
    controls.lie({ kind: 'no_charges', id: rental.marketId! })
    await desk.end(rows()[0]!, 'owner')
    await live(20 * hourMs, 60_000)
    expect(controls.machines()).toEqual([])
    expect(rows()).toMatchObject([{ state: 'ending', held: rental.held }])
    controls.lie()
    await live(20 * 60_000, 60_000)
    const [bill] = controls.bill()
    expect(rows()).toMatchObject([{ state: 'gone', held: 0, settled: bill!.microUsd }])
    expect(spendable()).toBe(1e9 - bill!.microUsd)
  })

  it('meters by itself where the market has told no bill for two days', async () => {
    const { rent, live, rows, desk, controls } = rentalWorld('vastai', offers)
    const rental = await rent()
    await live(hourMs / 2, 30_000)
    controls.lie({ kind: 'no_charges', id: rental.marketId! })
    await desk.end(rows()[0]!, 'owner')
    await live(40 * hourMs, 5 * 60_000)
    expect(rows()).toMatchObject([{ state: 'ending' }])
    await live(10 * hourMs, 5 * 60_000)
    expect(rows()).toMatchObject([{ state: 'gone' }])
    expect(Math.abs(rows()[0]!.settled - rental.offer.pricePerHour / 2)).toBeLessThan(rental.offer.pricePerHour / 50)
  })

  it.each([
    ['and takes it then', 1],
    ['for a few minutes, where it stays so', 0.8],
  ])('waits for the rest of a bill that comes to less than was metered %s', async (_, share) => {
    const { rent, live, rows, desk, control, controls, spendable } = rentalWorld('vastai', offers)
    await rent()
    await live(hourMs / 2, 30_000)
    const { bill } = control
    let told = 0.8
    control.bill = async (...asked) => Math.round((await bill(...asked))! * told)
    await desk.end(rows()[0]!, 'owner')
    await live(2 * 60_000, 5_000)
    expect(rows()).toMatchObject([{ state: 'ending' }])
    told = share
    await live(2 * 60_000, 5_000)
    const settled = Math.round(controls.bill()[0]!.microUsd * share)
    expect(rows()).toMatchObject([{ state: 'gone', settled }])
    expect(spendable()).toBe(1e9 - settled)
  })

  it('charges nothing where the market gives back more than it took', async () => {
    const { rent, live, rows, desk, control, spendable } = rentalWorld('vastai', offers)
    await rent()
    await live(1.5 * hourMs, 30_000)
    control.bill = async () => -20_000
    await desk.end(rows()[0]!, 'owner')
    await live(10 * 60_000)
    expect(rows()).toMatchObject([{ state: 'gone', held: 0, settled: 0 }])
    expect(spendable()).toBe(1e9)
  })

  it('waits for what the market charges, however long the end took', async () => {
    const { rent, live, rows, desk, controls, market } = rentalWorld('vastai', offers)
    const rental = await rent()
    await live(hourMs / 2, 30_000)
    controls.lie({ kind: 'no_charges', id: rental.marketId! })
    market.setFaults([{ kind: 'status', status: 500, match: { method: 'DELETE' } }])
    await desk.end(rows()[0]!, 'owner')
    await live(10 * 60_000)
    market.setFaults([])
    await live(5 * 60_000)
    expect(rows()).toMatchObject([{ state: 'ending' }])
    controls.lie()
    await live(2 * 60_000)
    expect(rows()).toMatchObject([{ state: 'gone', settled: controls.bill()[0]!.microUsd }])
  })

  it('replaces a lost machine once', async () => {
    const { rent, live, rows, desk, controls } = rentalWorld('vastai', offers)
    const rental = await rent({ replace: true })
    await desk.end(rental, 'host_lost')
    await live(120_000, 5_000)
    expect(rows()).toMatchObject([
      { state: 'failed', reason: 'host_lost', replacedBy: rows()[1]!.id },
      { state: 'starting', replaces: rental.id },
    ])
    expect(rows()[1]!.offer.hostId).not.toBe(rental.offer.hostId)
    expect(controls.machines()).toHaveLength(1)
  })
})

describe('a machine that is lost', () => {
  it('is not replaced once its owner has ended it, and is gone for him', async () => {
    const { rent, live, rows, desk, rentals, controls } = rentalWorld('vastai', offers)
    const rental = await rent({ replace: true })
    await desk.end(rental, 'host_lost')
    const lost = await rentals.find(payer.accountId, rental.id)
    expect(await desk.end(lost!, 'owner')).toMatchObject({ state: 'ending', reason: 'owner' })
    // Nobody else's word takes that back, and once is enough.
    const ended = await rentals.find(payer.accountId, rental.id)
    expect(await desk.end(ended!, 'market_ended')).toBeUndefined()
    expect(await desk.end(ended!, 'owner')).toBeUndefined()
    await live(120_000, 5_000)
    expect(rows()).toMatchObject([{ state: 'gone', reason: 'owner' }])
    expect(controls.machines()).toEqual([])
  })

  it('is replaced at once or never', async () => {
    const { rent, rows, desk, rentals, control, anotherPod, clock, pass } = rentalWorld('vastai', offers)
    const rental = await rent({ replace: true })
    const { begin } = rentals
    let isPoor = true
    const refusal = { refused: 'credit', asked: 1, spendable: 0, elsewhere: 0 } as const
    rentals.begin = async (...asked) => (isPoor ? refusal : begin(...asked))
    // Its bill is long in coming, and it is ended for as long.
    control.bill = async () => undefined
    const pod = anotherPod()
    await desk.end(rental, 'host_lost')
    for (let minute = 0; minute < 60; minute++) {
      isPoor = minute < 5
      await clock.advance(60_000)
      await pass(pod.step())
    }
    expect(rows()).toMatchObject([{ id: rental.id, state: 'ending' }])
  })

  it('is not replaced over and over where none of them stays', async () => {
    const { rent, watched, rows, controls, told } = rentalWorld('ionet', [ionetOffer])
    await rent({ replace: true }, ionetOffer.id)
    for (let minute = 0; minute < 10; minute++) {
      for (const { id } of controls.machines()) controls.loseHost(id)
      await watched(60_000)
    }
    const [first, second, ...more] = rows()
    expect(first).toMatchObject({ state: 'failed', reason: 'host_lost', replacedBy: second!.id })
    expect(second).toMatchObject({ state: 'failed', reason: 'host_lost', replacedBy: undefined })
    expect(more).toEqual([])
    expect(told.filter((line) => line.startsWith('a lost machine is not replaced'))).toHaveLength(1)
  })

  it('is replaced as often as its hosts are lost, where each has run for a while', async () => {
    const { rent, watched, rows, controls } = rentalWorld('ionet', [ionetOffer])
    await rent({ replace: true }, ionetOffer.id)
    for (let loss = 0; loss < 3; loss++) {
      await watched(11 * 60_000)
      for (const { id } of controls.machines()) controls.loseHost(id)
    }
    await watched(60_000)
    expect(rows().map(({ state }) => state)).toEqual(['failed', 'failed', 'failed', 'running'])
  })

  it('hands on what is left of its hours', async () => {
    const { rent, live, rows, desk, rentals } = rentalWorld('vastai', offers)
    const rental = await rent({ replace: true, maxHours: 2 })
    await live(1.5 * hourMs, 60_000)
    await desk.end((await rentals.find(payer.accountId, rental.id))!, 'host_lost')
    await live(3 * hourMs, 60_000)
    const [first, second] = rows()
    expect(first).toMatchObject({ state: 'failed', reason: 'host_lost' })
    expect(second).toMatchObject({ state: 'failed', reason: 'max_hours' })
    const lasted = second!.endedAt!.getTime() - first!.startedAt!.getTime()
    expect(lasted / hourMs).toBeGreaterThan(1.9)
    expect(lasted / hourMs).toBeLessThan(2.1)
  })

  it('is over where its market shows it as failed for good and knows of none to destroy', async () => {
    const { rent, watched, live, rows, control, spendable } = rentalWorld('ionet', [ionetOffer])
    await rent({}, ionetOffer.id)
    await watched(30_000)
    const { list } = control
    const failed = {
      status: 'lost',
      detail: 'failed',
      endpoints: [],
      startedAt: undefined,
      pricePerHour: undefined,
    } as const
    control.destroy = async () => 'gone'
    control.show = async (id) => ({ id, label: undefined, ...failed })
    control.list = async (signal) => (await list(signal)).map((each) => ({ ...each, ...failed }))
    await watched(90_000)
    await live(hourMs, 60_000)
    expect(rows()).toMatchObject([{ state: 'failed', reason: 'host_lost', held: 0 }])
    expect(spendable()).toBe(1e9 - rows()[0]!.settled)
  })

  it('and was named has the very same GPU stand in for it, too', async () => {
    const models = ['RTX 4090', 'RTX 4090 D', 'RTX 4090']
    const { pricePerHour } = offers[2]!
    const three = offers
      .slice(0, 3)
      .map((offer, n) => ({ ...offer, gpuModel: models[n]!, hostId: `host ${n}`, pricePerHour }))
    const { rent, live, rows, desk } = rentalWorld('vastai', three)
    const rental = await rent({ replace: true }, three[0]!.id)
    await desk.end(rental, 'host_lost')
    await live(120_000, 5_000)
    expect(rows()).toMatchObject([{ state: 'failed' }, { state: 'starting', offer: { id: three[2]!.id } }])
  })

  it('a named one has the very same GPU stand in for it', async () => {
    const [first, ...others] = offers
      .slice(0, 3)
      .map((offer, i) => ({ ...offer, gpuModel: i === 1 ? 'RTX 4090 D' : 'RTX 4090' }))
    const { rent, controls } = rentalWorld('vastai', [
      first!,
      ...others.map((each) => ({ ...each, pricePerHour: first!.pricePerHour })),
    ])
    controls.raceOffer(first!.id.slice(7))
    expect(await rent({}, first!.id)).toMatchObject({
      state: 'starting',
      offer: { id: others[1]!.id, gpuModel: 'RTX 4090' },
    })
  })
})

describe('hours ahead', () => {
  it('buys an hour at a time before it runs out, and settles each in full', async () => {
    const { rent, live, rows, desk, controls, spendable } = rentalWorld('ionet', [ionetOffer])
    await rent()
    await live(2.5 * hourMs, 10_000)
    expect(controls.machines()).toHaveLength(1)
    expect(controls.bill()).toMatchObject([{ microUsd: 3 * 580_000 }])
    await desk.end(rows()[0]!, 'owner')
    await live(60_000, 5_000)
    expect(rows()).toMatchObject([{ state: 'gone', settled: 3 * 580_000 }])
    expect(spendable()).toBe(1e9 - 3 * 580_000)
  })

  it('does not buy an hour twice where the answer was lost', async () => {
    const { rent, live, rows, controls, market } = rentalWorld('ionet', [ionetOffer])
    await rent()
    market.setFaults([{ kind: 'swallow_reply', match: { path: '/extend' }, times: 1 }])
    await live(1.5 * hourMs, 10_000)
    expect(controls.bill()).toMatchObject([{ microUsd: 2 * 580_000 }])
    expect(rows()).toMatchObject([{ hour: 1, accrued: 580_000, settled: 580_000 }])
  })

  it('does not buy an hour twice where the answer was lost and the purchase is told a while later', async () => {
    const { rent, live, rows, clock, control, controls, market } = rentalWorld('ionet', [ionetOffer])
    await rent()
    market.setFaults([{ kind: 'swallow_reply', match: { path: '/extend' }, times: 1 }])
    let told = 580_000
    const { extend } = control
    control.bill = async () => told
    control.extend = async (...asked) => {
      const outcome = await extend(...asked)
      clock.setTimer(45_000, () => {
        told += 580_000
      })
      return outcome
    }
    await live(1.5 * hourMs, 10_000)
    expect(controls.bill()).toMatchObject([{ microUsd: 2 * 580_000 }])
    expect(rows()).toMatchObject([{ hour: 1, accrued: 580_000, settled: 580_000 }])
  })

  it('does not buy an hour twice where two pods come to it', async () => {
    const { rent, live, step, clock, pass, controls, market } = rentalWorld('ionet', [ionetOffer])
    await rent()
    await live(hourMs - 6 * 60_000, 10_000)
    market.setFaults([{ kind: 'slow_headers', ms: 3_000 }])
    for (let passed = 0; passed < 2 * 60_000; passed += 10_000) {
      const first = step()
      await clock.advance(1_000)
      await pass(Promise.all([first, step()]))
      await clock.advance(9_000)
    }
    expect(controls.bill()).toMatchObject([{ microUsd: 2 * 580_000 }])
  })

  it('does not buy an hour twice where another pod has a clock that is minutes ahead', async () => {
    const { rent, live, step, anotherPod, clock, pass, controls, market, rows } = rentalWorld('ionet', [ionetOffer])
    const ahead = anotherPod({ clock: { ...clock, wallNow: () => clock.wallNow() + 3 * 60_000 } })
    await rent()
    await live(hourMs - 6 * 60_000, 10_000)
    market.setFaults([{ kind: 'slow_headers', ms: 3_000 }])
    const steps: Promise<boolean>[] = []
    while (rows()[0]!.hour === 0) {
      steps.push(step())
      await clock.advance(1_000)
    }
    for (let second = 0; second < 10; second++) {
      steps.push(ahead.step())
      await clock.advance(1_000)
    }
    await pass(Promise.all(steps))
    expect(rows()).toMatchObject([{ hour: 1, accrued: 580_000 }])
    expect(controls.bill()).toMatchObject([{ microUsd: 2 * 580_000 }])
  })

  it('buys no more of what costs more than was agreed, and charges for none of it', async () => {
    const { rent, live, rows, controls } = rentalWorld('ionet', [ionetOffer])
    controls.lie({ kind: 'costs_more', id: ionetOffer.id.slice(6), factor: 1.7 })
    await rent()
    await live(1.5 * hourMs, 10_000)
    expect(controls.bill()).toMatchObject([{ microUsd: 1.7 * 580_000 }])
    expect(rows()).toMatchObject([{ state: 'failed', reason: 'max_price', settled: 580_000 }])
  })

  it.each([1.01, 0.98])('buys each hour once, for days, of what costs %f times what was agreed', async (factor) => {
    const { rent, live, rows, controls, market } = rentalWorld('ionet', [ionetOffer])
    controls.lie({ kind: 'costs_more', id: ionetOffer.id.slice(6), factor })
    await rent()
    for (let hour = 0; hour < 60; hour++) {
      // Every third answer is lost.
      if (hour % 3 === 2) market.setFaults([{ kind: 'swallow_reply', match: { path: '/extend' }, times: 1 }])
      await live(hourMs, 30_000)
    }
    expect(rows()).toMatchObject([{ state: 'starting', hour: 60, settled: 60 * 580_000, accrued: 580_000 }])
    expect(controls.bill()[0]!.microUsd / (factor * 580_000)).toBeCloseTo(61, 3)
  })

  it('settles the hour that was being bought when its owner ended it', async () => {
    const { rent, live, rows, desk, controls, market } = rentalWorld('ionet', [ionetOffer])
    await rent()
    market.setFaults([{ kind: 'swallow_reply', match: { path: '/extend' } }])
    while (controls.bill()[0]!.microUsd < 2 * 580_000) await live(5_000, 5_000)
    expect(rows()).toMatchObject([{ hour: 1, accrued: 0 }])
    await desk.end(rows()[0]!, 'owner')
    await live(60_000, 5_000)
    expect(rows()).toMatchObject([{ state: 'gone', settled: 2 * 580_000 }])
  })

  it('buys no hour that it may not run', async () => {
    const { rent, live, rows, controls } = rentalWorld('ionet', [ionetOffer])
    await rent({ maxHours: 1 })
    await live(1.1 * hourMs, 10_000)
    expect(rows()).toMatchObject([{ state: 'failed', reason: 'max_hours', settled: 580_000 }])
    expect(controls.bill()).toMatchObject([{ microUsd: 580_000 }])
  })
})
