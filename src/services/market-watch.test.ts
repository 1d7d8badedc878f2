import { beforeAll, describe, expect, it } from 'vitest'
import { ionetOffer, rentalWorld, spec, vastOffers } from '../../tests/support/rental-world.ts'
import type { RentalOffer } from '../domain/rental.ts'
import { instruments } from '../telemetry/instruments.ts'

let offers: RentalOffer[]
beforeAll(async () => {
  offers = await vastOffers()
})
const minuteMs = 60_000

describe('what a list tells', () => {
  it.each([['vastai'], ['ionet']] as const)('%s: a machine comes to run, and where it is reached', async (market) => {
    const { rent, watched, rows } = rentalWorld(market, market === 'ionet' ? [ionetOffer] : offers)
    await rent()
    await watched(10_000)
    expect(rows()).toMatchObject([{ state: 'running' }])
    expect(rows()[0]!.endpoints[0]!.origin).toMatch(/^http:\/\//)
  })

  it('machines that publish nothing keep no other one from being reached', async () => {
    const { rent, watched, rows } = rentalWorld('ionet', [ionetOffer])
    for (let n = 0; n < 6; n++) await rent({ ports: [] }, ionetOffer.id)
    await rent({}, ionetOffer.id)
    await watched(minuteMs)
    expect(rows().at(-1)).toMatchObject({ state: 'running', endpoints: [{ port: undefined }] })
  })

  it('machines whose addresses do not come keep no other one from being reached', async () => {
    const { rent, watched, rows, control } = rentalWorld('ionet', [ionetOffer])
    for (let n = 0; n < 7; n++) await rent({}, ionetOffer.id)
    const { show } = control
    const last = rows().at(-1)!.marketId
    control.show = async (id, signal) => {
      const machine = await show(id, signal)
      return machine && id !== last ? { ...machine, endpoints: [] } : machine
    }
    await watched(minuteMs)
    expect(rows().at(-1)).toMatchObject({ state: 'running', endpoints: [{ port: undefined }] })
  })

  it('one machine that its market cannot show keeps no other one from being heard of', async () => {
    const { rent, market, watched, rows } = rentalWorld('ionet', [ionetOffer])
    const { marketId } = await rent({}, ionetOffer.id)
    await rent({}, ionetOffer.id)
    market.setFaults([{ kind: 'status', status: 500, match: { path: `/${marketId}/containers` } }])
    await watched(3 * minuteMs)
    expect(rows()).toMatchObject([
      { state: 'running', endpoints: [] },
      { state: 'running', endpoints: [{ port: undefined }] },
    ])
  })

  it('a date that makes no sense is not taken for when a machine began', async () => {
    const { rent, market, watched, rows, control, spendable } = rentalWorld('vastai', offers)
    const { list } = control
    control.list = async (signal) => (await list(signal)).map((each) => ({ ...each, startedAt: new Date(0) }))
    market.setFaults([{ kind: 'swallow_reply', match: { method: 'PUT' } }])
    const { held, createSentAt } = await rent()
    await watched(2 * minuteMs)
    expect(rows()).toMatchObject([{ state: 'running', hour: 0, settled: 0, startedAt: createSentAt }])
    expect(spendable()).toBe(1e9 - held)
  })

  it('a machine whose creation nobody heard of is adopted by its label, and metered from when it began', async () => {
    const { rent, market, watched, rows, controls, metrics, desk } = rentalWorld('vastai', offers)
    market.setFaults([{ kind: 'swallow_reply', match: { method: 'PUT' } }])
    await rent()
    await watched(10_000)
    expect(rows()).toMatchObject([{ state: 'running', marketId: controls.machines()[0]!.id }])
    expect(metrics.counted(instruments.gpuOrphans, { action: 'adopted' })).toBe(1)
    await desk.end(rows()[0]!, 'owner')
    await watched(30_000)
    expect(rows()).toMatchObject([{ state: 'gone', settled: controls.bill()[0]!.microUsd }])
  })

  it('a create that had no effect is ended after two lists, two minutes later, and its hold is released', async () => {
    const { rent, market, watched, rows, spendable } = rentalWorld('vastai', offers)
    market.setFaults([{ kind: 'reset', match: { method: 'PUT' } }])
    await rent()
    await watched(100_000)
    expect(rows()).toMatchObject([{ state: 'unknown' }])
    await watched(60_000)
    expect(rows()).toMatchObject([{ state: 'failed', reason: 'not_created' }])
    expect(spendable()).toBe(1e9)
  })

  it('one list that lacks it is no word that a create had no effect', async () => {
    const { rent, market, watched, rows, clock } = rentalWorld('vastai', offers)
    market.setFaults([{ kind: 'reset', match: { method: 'PUT' } }])
    await rent()
    await clock.advance(2 * minuteMs)
    await watched(3_000)
    expect(rows()).toMatchObject([{ state: 'unknown' }])
    await watched(3_000)
    expect(rows()).toMatchObject([{ state: 'failed', reason: 'not_created' }])
  })

  it('one that its owner ended while it was unknown is destroyed when it is found', async () => {
    const { rent, market, watched, rows, controls, desk } = rentalWorld('vastai', offers)
    market.setFaults([{ kind: 'swallow_reply', match: { method: 'PUT' } }])
    await desk.end(await rent(), 'owner')
    await watched(2 * minuteMs)
    expect(rows()).toMatchObject([{ state: 'gone' }])
    expect(controls.machines()).toEqual([])
    expect(controls.bill()).toHaveLength(1)
  })

  it('a host that is lost ends the rental', async () => {
    const { rent, watched, rows, controls } = rentalWorld('vastai', offers)
    const { marketId } = await rent()
    await watched(10_000)
    controls.loseHost(marketId!)
    await watched(2 * minuteMs)
    expect(rows()).toMatchObject([{ state: 'failed', reason: 'host_lost' }])
    expect(controls.machines()).toEqual([])
  })

  it('one that is started again may be shown as it was for two minutes, and no longer', async () => {
    const { rent, watched, rows, controls, pass, instances } = rentalWorld('vastai', offers)
    const { id, marketId } = await rent()
    await watched(10_000)
    await pass(instances.setRunning('account', id, false, new AbortController().signal))
    await watched(minuteMs)
    await pass(instances.setRunning('account', id, true, new AbortController().signal))
    controls.loseHost(marketId!)
    await watched(minuteMs)
    expect(rows()).toMatchObject([{ state: 'starting' }])
    await watched(2 * minuteMs)
    expect(rows()).toMatchObject([{ state: 'failed', reason: 'host_lost' }])
  })

  it('a machine that lists lack for a minute and that its market does not know is ended; one list alone says nothing', async () => {
    const { rent, watched, rows, control, controls, pass } = rentalWorld('vastai', offers)
    const { marketId } = await rent()
    await watched(10_000)
    controls.lie({ kind: 'omits', id: marketId! })
    await watched(40_000)
    expect(rows()).toMatchObject([{ state: 'running' }])
    controls.lie()
    await watched(2 * minuteMs)
    expect(rows()).toMatchObject([{ state: 'running' }])
    await pass(control.destroy(marketId!, new AbortController().signal))
    await watched(7 * minuteMs)
    expect(rows()).toMatchObject([{ state: 'failed', reason: 'market_ended' }])
  })

  it.each([['vastai'], ['ionet']] as const)(
    '%s: no machine that runs is destroyed because lists are empty for a while',
    async (market) => {
      const six = market === 'ionet' ? Array.from({ length: 6 }, () => ionetOffer) : offers
      const { rent, watched, rows, controls } = rentalWorld(market, six)
      for (const { id } of six) await rent({}, id)
      await watched(30_000)
      controls.lie(...controls.machines().map(({ id }) => ({ kind: 'omits', id }) as const))
      await watched(10 * minuteMs)
      expect(new Set(rows().map(({ state }) => state))).toEqual(new Set(['running']))
      expect(controls.machines().filter(({ ending }) => !ending)).toHaveLength(6)
    },
  )

  it('of many that lists lack each is asked for in its turn, and one about which the market does not say is left', async () => {
    const { rent, watched, rows, control, controls, pass } = rentalWorld('ionet', [ionetOffer])
    for (let n = 0; n < 7; n++) await rent({}, ionetOffer.id)
    await watched(30_000)
    const [unsaid, ...known] = rows()
    controls.lie(...known.slice(0, -1).map(({ marketId }) => ({ kind: 'omits', id: marketId! }) as const))
    await pass(control.destroy(known.at(-1)!.marketId!, new AbortController().signal))
    const { show, list } = control
    control.list = async (signal) => (await list(signal)).filter(({ id }) => id !== unsaid!.marketId)
    control.show = async (id, signal) => {
      if (id === unsaid!.marketId) throw new Error('not now')
      return show(id, signal)
    }
    await watched(10 * minuteMs)
    expect(rows().map(({ state }) => state)).toEqual([...Array(6).fill('running'), 'failed'])
  })

  it('a machine that does not start is stopped again, after a while', async () => {
    const { rent, watched, rows, controls, instances, pass } = rentalWorld('vastai', offers)
    const { marketId, id } = await rent()
    await watched(10_000)
    if ('outbid' in controls) controls.outbid(marketId!)
    await watched(40_000)
    await pass(instances.setRunning('account', id, true, new AbortController().signal))
    await watched(minuteMs)
    expect(rows()).toMatchObject([{ state: 'starting' }])
    await watched(3 * minuteMs)
    expect(rows()).toMatchObject([{ state: 'stopped' }])
  })

  it('a machine that does not stop runs, after a while', async () => {
    const { rent, watched, rows, control, instances, pass } = rentalWorld('vastai', offers)
    const { marketId, id } = await rent()
    await watched(10_000)
    const { signal } = new AbortController()
    await pass(instances.setRunning('account', id, false, signal))
    await pass(control.setRunning(marketId!, true, signal))
    await watched(minuteMs)
    expect(rows()).toMatchObject([{ state: 'stopping' }])
    await watched(3 * minuteMs)
    expect(rows()).toMatchObject([{ state: 'running' }])
  })

  it('a machine that one pod has missed is missed by the next one, too', async () => {
    const { rent, watched, rows, control, controls, clock, pass, stop, anotherPod } = rentalWorld('vastai', offers)
    const { marketId } = await rent()
    await watched(10_000)
    controls.lie({ kind: 'omits', id: marketId! })
    await watched(40_000)
    expect(rows()).toMatchObject([{ state: 'running' }])
    await pass(control.destroy(marketId!, new AbortController().signal))
    await clock.advance(minuteMs)
    const other = anotherPod()
    await pass(other.watch())
    expect(rows(), 'it is the turn of the first').toMatchObject([{ state: 'running' }])
    // Which gives it back when it stops.
    await stop()
    await pass(other.watch())
    expect(rows()).toMatchObject([{ state: 'ending', reason: 'market_ended' }])
  })

  it('a price above what was agreed ends it at once', async () => {
    const { rent, watched, rows, controls } = rentalWorld('vastai', offers)
    const { marketId, offer } = await rent()
    controls.raisePrice(marketId!, 2)
    await watched(minuteMs)
    expect(rows()).toMatchObject([{ state: 'failed', reason: 'max_price' }])
    expect(rows()[0]!.settled).toBeLessThan(offer.pricePerHour / 60)
  })
})

describe('machines that no rental accounts for', () => {
  it('a second machine with the label of a rental is destroyed, after a minute and not before', async () => {
    const { rent, watched, rows, controls, metrics } = rentalWorld('vastai', offers)
    const { marketId } = await rent()
    await watched(10_000)
    const double = controls.duplicateLabel(marketId!)
    await watched(40_000)
    expect(controls.machines().map(({ id }) => id)).toContain(double)
    await watched(4 * minuteMs)
    expect(controls.machines().map(({ id }) => id)).toEqual([marketId])
    expect(metrics.counted(instruments.gpuOrphans, { action: 'destroyed' })).toBe(1)
    expect(rows()).toMatchObject([{ state: 'running' }])
  })

  it('what was saved by destroying them is told once a day', async () => {
    const { rent, watched, controls, clock, told, rows } = rentalWorld('vastai', offers)
    const { marketId } = await rent()
    await watched(10_000)
    controls.duplicateLabel(marketId!)
    await watched(4 * minuteMs)
    const saved = () => told.filter((line) => line.includes('a day saved'))
    expect(saved()).toEqual([])
    await clock.advance(24 * 60 * minuteMs)
    await watched(minuteMs)
    const perHour = /destroyed: \d+, \$([\d.]+) an hour/.exec(told.join('\n'))![1]
    expect(Number(perHour)).toBeGreaterThan(0)
    expect(saved()).toEqual([
      `destroyed machines of nobody: $${(24 * Number(perHour)).toFixed(6).replace(/0{1,4}$/, '')} a day saved`,
    ])
    expect(rows()).toHaveLength(1)
  })

  it('a machine that lists show and is not there is not destroyed', async () => {
    const { rent, watched, controls, rows, metrics, desk } = rentalWorld('vastai', offers)
    const { marketId } = await rent()
    await desk.end(rows()[0]!, 'owner')
    await watched(minuteMs)
    controls.lie({ kind: 'shows_destroyed', id: marketId! })
    await watched(5 * minuteMs)
    expect(metrics.counted(instruments.gpuOrphans, { action: 'destroyed' })).toBe(0)
  })

  it('what others rented, and what the database does not know, is told of once and left alone', async () => {
    const { clock, control, watched, controls, metrics, pass } = rentalWorld('vastai', offers)
    const { signal } = new AbortController()
    const labels = ['somebody', '', 'aiserve-ffffffff-0198c0de-0000-7000-8000-000000000001']
    labels.push('aiserve-0123abcd-0198c0de-0000-7000-8000-00000000ffff')
    for (const [n, label] of labels.entries()) {
      const offerId = offers[n]!.id.slice(7)
      const order = { offerId, label, hours: 1, pricePerHour: 1e9, gpuCount: 1 }
      await pass(control.create({ ...order, spec }, signal))
    }
    await clock.advance(5_000)
    await watched(5 * minuteMs)
    expect(controls.machines()).toHaveLength(4)
    expect(metrics.counted(instruments.gpuOrphans, { action: 'reported' })).toBe(4)
    expect(metrics.counted(instruments.gpuOrphans, { action: 'destroyed' })).toBe(0)
  })
})
