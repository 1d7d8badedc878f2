import { describe, expect, test } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { Gate } from '../../tests/support/gate.ts'
import { newRental } from '../../tests/support/new-rental.ts'
import type { Rental } from '../domain/rental.ts'
import { createOpenCalls, type OpenCallsOptions } from './open-calls.ts'

const endpoint = { port: 8000, origin: 'http://203.0.113.7:41234' }
const rentalOf = (id: string, own: Partial<Rental> = {}) =>
  ({ ...newRental({ accountId: 'a', keyId: 'k', id }), state: 'running', endpoints: [endpoint], ...own }) as Rental

function world(own: Pick<OpenCallsOptions, 'max' | 'maxPerMachine'> = {}) {
  const clock = new FakeClock()
  const asked: string[][] = []
  const there = new Map<string, Rental>()
  let isAway = false
  const gate = new Gate()
  const warnings: string[] = []
  const log = { debug() {}, info() {}, error() {}, warn: (message: string) => void warnings.push(message) }
  const rentals = {
    async byIds(ids: readonly string[]) {
      asked.push([...ids])
      await gate.open()
      if (isAway) throw new Error('the database is away')
      return ids.flatMap((id) => there.get(id) ?? [])
    },
  }
  const calls = createOpenCalls({ clock, rentals, log, ...own })
  const open = (
    id: string,
    kind: 'calls' | 'tunnels' = 'calls',
    own: Partial<Rental> = {},
    stillGood = async () => true,
  ) => {
    const rental = rentalOf(id, own)
    if (!there.has(id)) there.set(id, rental)
    return calls.open(kind, rental, endpoint, stillGood)
  }
  const set = (id: string, own: Partial<Rental>) => void there.set(id, rentalOf(id, own))
  return { clock, calls, open, set, there, asked, gate, warnings, goAway: (away: boolean) => (isAway = away) }
}

describe('what is open', () => {
  test.each<[string, Partial<Rental> | undefined]>([
    ['ends', { state: 'ending' }],
    ['stops', { state: 'stopped' }],
    ['loads again', { state: 'starting' }],
    ['moves', { endpoints: [{ port: 8000, origin: 'http://203.0.113.8:41234' }] }],
    ['is not there', undefined],
  ])('is closed where its rental %s, and others stay', async (_, change) => {
    const { clock, open, set, there } = world()
    const [mine, other] = [open('1'), open('2')]
    await clock.advance(2_000)
    expect(mine.signal.aborted).toBe(false)
    if (change) set('1', change)
    else there.delete('1')
    await clock.advance(2_000)
    expect(mine.signal.reason).toMatchObject({ code: 'instance_not_running' })
    expect(other.signal.aborted).toBe(false)
  })

  test('is closed where its caller is none any more, and others stay', async () => {
    const { clock, open } = world()
    let isGood = true
    const mine = open('1', 'tunnels', {}, async () => isGood)
    const other = open('1', 'tunnels')
    await clock.advance(2_000)
    expect(mine.signal.aborted).toBe(false)
    isGood = false
    await clock.advance(2_000)
    expect(mine.signal.reason).toMatchObject({ code: 'invalid_credential' })
    expect(other.signal.aborted).toBe(false)
  })

  test('is looked at with one question for all, and with none where there is nothing', async () => {
    const { clock, open, asked } = world()
    const all = [open('1'), open('1', 'tunnels'), open('2')]
    await clock.advance(2_000)
    expect(asked).toEqual([['1', '2']])
    for (const { end } of all) end()
    // The machine's side, too.
    expect(all[0]!.signal.reason).toMatchObject({ code: 'client_closed' })
    await clock.advance(60_000)
    expect(asked.length).toBeLessThanOrEqual(2)
    expect(clock.pendingTimers).toBe(0)
    open('3')
    await clock.advance(2_000)
    expect(asked.at(-1)).toEqual(['3'])
  })

  test('stays while the database is away, and is looked at again when it is back', async () => {
    const { clock, open, set, goAway, warnings } = world()
    const mine = open('1')
    goAway(true)
    set('1', { state: 'ending' })
    await clock.advance(4_000)
    expect([mine.signal.aborted, warnings.length]).toEqual([false, 2])
    goAway(false)
    await clock.advance(2_000)
    expect(mine.signal.aborted).toBe(true)
  })

  test('stays where it was opened while the database was being asked', async () => {
    const { clock, open, gate } = world()
    open('1')
    gate.hold()
    await clock.advance(2_000)
    const mine = open('2')
    gate.go()
    await clock.advance(0)
    expect(mine.signal.aborted).toBe(false)
  })

  test('has bounds: of a kind, and to one machine', () => {
    const { open } = world({ max: { calls: 3, tunnels: 2 }, maxPerMachine: 2 })
    const refused = expect.objectContaining({ code: 'overloaded' })
    const first = open('1', 'tunnels')
    open('2', 'tunnels')
    expect(() => open('3', 'tunnels')).toThrow(refused)
    open('1')
    expect(() => open('1')).toThrow(refused)
    first.end()
    first.end()
    open('1')
    expect(() => open('1')).toThrow(refused)
    open('3')
    expect(() => open('3')).toThrow(refused)
  })

  test('ends with the pod', () => {
    const { open, calls } = world()
    const all = [open('1'), open('2', 'tunnels')]
    calls.stop()
    for (const { signal } of all) expect(signal.reason).toMatchObject({ code: 'stream_interrupted' })
    expect(() => open('3')).toThrow(expect.objectContaining({ code: 'overloaded' }))
  })
})
