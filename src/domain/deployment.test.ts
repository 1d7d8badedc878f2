import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { newDeployment } from '../../tests/support/deployment.ts'
import { type Deployment, type Look, type Member, review, statusOf } from './deployment.ts'
import { type Rental, type RentalState, rentalStates } from './rental.ts'

const start = 1_800_000_000_000
const minute = 60_000

const deployment = (own: Partial<Deployment> = {}): Deployment => ({
  ...newDeployment({ replicas: 2 }),
  version: 1,
  createdAt: new Date(start),
  endAskedAt: undefined,
  dueAt: new Date(start),
  members: [],
  spent: 0,
  failures: 0,
  retryAt: undefined,
  reason: undefined,
  gaveUp: false,
  busy: {},
  ...own,
})
const member = (rentalId: string, state: Member['state'], own: Partial<Member> = {}): Member => ({
  rentalId,
  state,
  since: start,
  origin: state === 'starting' ? undefined : `http://${rentalId}`,
  misses: 0,
  ...own,
})
const rental = (id: string, state: RentalState, own: Partial<Rental> = {}) =>
  ({ id, state, createdAt: new Date(start), settled: 0, ...own }) as Rental
const runs = (id: string, answers = true): Look => ({ rental: rental(id, 'running'), origin: `http://${id}`, answers })
const ready = (...ids: string[]) => ids.map((id) => member(id, 'ready'))

describe('a round for a deployment', () => {
  it('begins what is missing, and no more while it is on its way', () => {
    expect(review(deployment(), [], start)).toMatchObject({ missing: 2, end: [], members: [] })
    const members = [member('a', 'starting'), member('b', 'starting')]
    const looks = [{ rental: rental('a', 'unknown') }, { rental: rental('b', 'starting') }]
    expect(review(deployment({ members }), looks, start + minute)).toMatchObject({ missing: 0, end: [], members })
  })

  it('takes machines for its own that a pod began and did not write down', () => {
    const found = review(deployment(), [{ rental: rental('a', 'starting') }], start)
    expect(found).toMatchObject({ missing: 1, members: [{ rentalId: 'a', state: 'starting' }] })
  })

  it('has a machine ready once it answers, and out of use after three questions without an answer', () => {
    const before = deployment({ replicas: 1, members: [member('a', 'starting')] })
    expect(review(before, [runs('a', false)], start).members).toMatchObject([{ state: 'starting' }])
    let now = { ...before, ...review(before, [runs('a')], start) }
    expect(now.members).toMatchObject([{ state: 'ready', origin: 'http://a' }])
    for (const state of ['ready', 'ready', 'starting']) {
      now = { ...now, ...review(now, [runs('a', false)], start) }
      expect(now.members).toMatchObject([{ state }])
    }
    expect(statusOf(now)).toBe('degraded')
    expect(review(now, [runs('a')], start).members).toMatchObject([{ state: 'ready', misses: 0 }])
  })

  it('has it ready elsewhere when its address has changed', () => {
    const found = review(
      deployment({ members: ready('a') }),
      [{ rental: rental('a', 'running'), origin: 'http://b', answers: true }],
      start,
    )
    expect(found.members).toMatchObject([{ state: 'ready', origin: 'http://b' }])
  })

  test.each<RentalState>(['ending', 'stopping', 'stopped'])('replaces a machine that is %s at once', (state) => {
    const looks = [runs('a'), { rental: rental('b', state) }]
    const found = review(deployment({ members: ready('a', 'b') }), looks, start + 10 * minute)
    expect(found).toMatchObject({ missing: 1, failures: 0, members: [{ state: 'ready' }, { state: 'draining' }] })
  })

  it('gives up machines that answer for moments and are lost, one after the other', () => {
    let now = deployment({ replicas: 1 })
    let at = start
    for (let n = 1; n <= 6; n++) {
      now = { ...now, members: [member(`m${n}`, 'starting', { since: at })] }
      now = { ...now, ...review(now, [runs(`m${n}`)], at) }
      expect(now).toMatchObject({ members: [{ state: 'ready' }], failures: n - 1 })
      at += 9 * minute
      now = { ...now, ...review(now, [{ rental: rental(`m${n}`, 'ending', { reason: 'host_lost' }) }], at) }
      now = { ...now, ...review(now, [{ rental: rental(`m${n}`, 'failed', { reason: 'host_lost' }) }], at) }
      expect(now).toMatchObject({ failures: n, gaveUp: n === 6, reason: 'host_lost' })
    }
  })

  it('counts what has ended into its sum, and forgets it', () => {
    const looks = [runs('a'), { rental: rental('b', 'gone', { settled: 700, reason: 'group' }) }]
    const found = review(deployment({ members: [...ready('a'), member('b', 'draining')], spent: 50 }), looks, start)
    expect(found).toMatchObject({ spent: 750, failures: 0, members: [{ rentalId: 'a' }] })
  })

  it('gives up after six failures in a row, each waited for longer', () => {
    let now = deployment({ replicas: 1 })
    let at = start
    const waits: number[] = []
    for (let n = 1; n <= 6; n++) {
      now = { ...now, members: [member(`m${n}`, 'starting')] }
      now = { ...now, ...review(now, [{ rental: rental(`m${n}`, 'gone', { reason: 'no_offer' }) }], at) }
      expect(review(now, [], at).missing, 'not before it is time').toBe(0)
      waits.push(now.retryAt!.getTime() - at)
      at = now.retryAt!.getTime()
      expect(review(now, [], at).missing).toBe(n < 6 ? 1 : 0)
    }
    expect(waits).toEqual([5_000, 10_000, 20_000, 40_000, 80_000, 160_000])
    expect(now).toMatchObject({ gaveUp: true, reason: 'no_offer' })
    expect(statusOf(now)).toBe('failed')
  })

  it('forgets its failures when all have answered for ten minutes, and what it was asked to do by hand is none', () => {
    const before = deployment({ members: ready('a', 'b'), failures: 4, reason: 'host_lost' })
    const after = (ms: number) => review(before, [runs('a'), runs('b')], start + ms)
    expect(after(9 * minute), 'so far').toMatchObject({ failures: 4, reason: 'host_lost' })
    expect(after(10 * minute)).toMatchObject({ failures: 0, reason: undefined })
    const byHand = deployment({ members: [member('a', 'starting')] })
    expect(review(byHand, [{ rental: rental('a', 'ending', { reason: 'owner' }) }], start).failures).toBe(0)
    expect(review(byHand, [{ rental: rental('a', 'ending', { reason: 'host_lost' }) }], start).failures).toBe(1)
  })

  it('gives up a machine that does not come to answer within half an hour', () => {
    const before = deployment({ replicas: 1, members: [member('a', 'starting')] })
    expect(review(before, [runs('a', false)], start + 29 * minute).end).toEqual([])
    const late = review(before, [runs('a', false)], start + 31 * minute)
    expect(late).toMatchObject({ end: ['a'], failures: 1, reason: 'not_answering' })
  })

  it('ends what is too many: those without requests at once, the others when they are empty', () => {
    const members = [...ready('a'), member('b', 'ready', { since: start + 1 }), member('c', 'starting')]
    const before = deployment({ replicas: 1, members })
    const looks = [runs('a'), runs('b'), runs('c', false)]
    const found = review(before, looks, start + minute)
    expect(found.end).toEqual(['c'])
    expect(found.members.map(({ state }) => state)).toEqual(['ready', 'draining', 'draining'])
    const draining = { ...before, members: found.members }
    const endedAt = (ms: number, busy = {}) => review({ ...draining, busy }, looks, start + minute + ms).end
    expect(endedAt(7_000)).toEqual(['c'])
    expect(endedAt(8_000)).toEqual(['b', 'c'])
    expect(endedAt(20_000, { b: start + minute + 18_000 }), 'a pod has a request there').toEqual(['c'])
    expect(endedAt(10 * minute, { b: start + 11 * minute }), 'for so long only').toEqual(['b', 'c'])
  })

  it('empties all when its owner wants it gone, and is gone when nothing is left', () => {
    const before = deployment({ members: ready('a', 'b'), endAskedAt: new Date(start) })
    const found = review(before, [runs('a'), runs('b')], start)
    expect(found).toMatchObject({ missing: 0, isGone: false, members: [{ state: 'draining' }, { state: 'draining' }] })
    expect(statusOf(before)).toBe('ending')
    const ended = ['a', 'b'].map((id) => ({ rental: rental(id, 'gone', { settled: 5 }) }))
    expect(review({ ...before, members: found.members }, ended, start)).toMatchObject({ isGone: true, spent: 10 })
  })

  it('is over after its hours, and says so', () => {
    const before = deployment({ members: ready('a', 'b'), maxHours: 1 })
    expect(review(before, [runs('a'), runs('b')], start + 59 * minute)).toMatchObject({ gaveUp: false })
    const over = review(before, [runs('a'), runs('b')], start + 60 * minute)
    expect(over).toMatchObject({ missing: 0, reason: 'max_hours', gaveUp: true })
    expect(over.members.every(({ state }) => state === 'draining')).toBe(true)
    expect(statusOf({ ...before, ...over })).toBe('failed')
  })
})

test('whatever is found, no more machines live than are wanted, and what is ended was emptied', () => {
  const look = fc.record({
    state: fc.constantFrom(...rentalStates),
    answers: fc.boolean(),
    was: fc.constantFrom('starting', 'ready', 'draining', 'unlisted'),
  })
  fc.assert(
    fc.property(
      fc.array(look, { maxLength: 20 }),
      fc.integer({ min: 1, max: 16 }),
      fc.nat(3_600_000),
      (found, replicas, ms) => {
        const looks = found.map(({ state, answers }, i) => ({
          ...runs(`r${i}`, answers),
          rental: rental(`r${i}`, state),
        }))
        const members = found.flatMap(({ was }, i) =>
          was === 'unlisted' ? [] : [member(`r${i}`, was as Member['state'])],
        )
        const after = review(deployment({ replicas, members }), looks, start + ms)
        const living = after.members.filter(({ state }) => state !== 'draining')
        expect(living.length + after.missing).toBeLessThanOrEqual(replicas)
        if (!after.gaveUp && !after.retryAt) expect(living.length + after.missing).toBe(replicas)
        const drained = new Set(after.members.flatMap((each) => (each.state === 'draining' ? [each.rentalId] : [])))
        expect(after.end.every((id) => drained.has(id))).toBe(true)
        expect(new Set(after.members.map(({ rentalId }) => rentalId)).size).toBe(after.members.length)
      },
    ),
  )
})
