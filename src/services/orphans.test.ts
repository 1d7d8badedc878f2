import { expect, test } from 'vitest'
import { createMemorySightings } from '../../adapters/memory/sightings.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { FakeMetrics } from '../../tests/support/fake-metrics.ts'
import { labelOf, type Rental } from '../domain/rental.ts'
import type { Rentals } from '../ports.ts'
import type { Machine, MarketControl } from '../providers/market.ts'
import { instruments } from '../telemetry/instruments.ts'
import { createOrphans } from './orphans.ts'

const fleet = '0123abcd'
const rentalId = (n: number) => `0198c0de-${n.toString(16).padStart(4, '0')}-7000-8000-000000000000`
const machine = (n: number, status: Machine['status']): Machine => ({
  ...{ id: `machine-${n}`, label: labelOf(fleet, rentalId(n)), status, detail: '', endpoints: [] },
  ...{ startedAt: undefined, pricePerHour: undefined },
})

test('those that have ended and stay in the list do not keep one that runs from being destroyed', async () => {
  const clock = new FakeClock()
  const all = [...Array.from({ length: 8 }, (_, n) => machine(n, 'lost')), machine(8, 'running')]
  const destroyed: string[] = []
  const control = {
    name: 'ionet',
    show: async (id: string) => (id === 'machine-8' ? { ...all[8]!, label: undefined } : undefined),
    list: async () => all,
    destroy: async (id: string) => {
      destroyed.push(id)
      return 'accepted'
    },
  } as unknown as MarketControl
  const byIds = async (ids: readonly string[]) => ids.map((id) => ({ id, state: 'gone' }) as Rental)
  const rentals = { byIds } as unknown as Rentals
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const own = { clock, control, rentals, fleet, log, metrics: new FakeMetrics(), sightings: createMemorySightings() }
  const orphans = createOrphans(own)
  for (let n = 0; n < 20; n++) {
    await orphans.consider(all, new Date(clock.wallNow()))
    await clock.advance(60_000)
  }
  expect(new Set(destroyed)).toEqual(new Set(['machine-8']))
})

test('one that its market shows and does not know is not destroyed again and again', async () => {
  const clock = new FakeClock()
  const all = Array.from({ length: 7 }, (_, n) => machine(n, n < 6 ? 'lost' : 'running'))
  const destroyed: string[] = []
  const control = {
    name: 'ionet',
    show: async (id: string) => ({ ...all.find((each) => each.id === id)!, label: undefined }),
    list: async () => all,
    destroy: async (id: string) => {
      if (id !== 'machine-6') return 'gone'
      destroyed.push(id)
      return 'accepted'
    },
  } as unknown as MarketControl
  const byIds = async (ids: readonly string[]) => ids.map((id) => ({ id, state: 'gone' }) as Rental)
  const rentals = { byIds } as unknown as Rentals
  const metrics = new FakeMetrics()
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const own = { clock, control, rentals, fleet, log, metrics, sightings: createMemorySightings() }
  const orphans = createOrphans(own)
  for (let n = 0; n < 10; n++) {
    await orphans.consider(all, new Date(clock.wallNow()))
    await clock.advance(60_000)
  }
  expect(new Set(destroyed)).toEqual(new Set(['machine-6']))
  expect(metrics.counted(instruments.gpuOrphans, { provider: 'ionet', action: 'destroyed' })).toBe(destroyed.length)
})

test('one that its market fails to destroy keeps no other one running', async () => {
  const clock = new FakeClock()
  const all = Array.from({ length: 3 }, (_, n) => machine(n, 'running'))
  const destroyed: string[] = []
  const control = {
    name: 'vastai',
    show: async (id: string) => all.find((each) => each.id === id),
    destroy: async (id: string) => {
      if (id === 'machine-0') throw new Error('a canary')
      destroyed.push(id)
      return 'accepted'
    },
  } as unknown as MarketControl
  const byIds = async (ids: readonly string[]) => ids.map((id) => ({ id, state: 'gone' }) as Rental)
  const rentals = { byIds } as unknown as Rentals
  const told: unknown[] = []
  const tell = (message: string, fields?: object) => void told.push([message, fields])
  const log = { debug: tell, info: tell, warn: tell, error: tell }
  const own = { clock, control, rentals, fleet, log, metrics: new FakeMetrics(), sightings: createMemorySightings() }
  const orphans = createOrphans(own)
  for (let n = 0; n < 3; n++) {
    await orphans.consider(all, new Date(clock.wallNow()))
    await clock.advance(60_000)
  }
  expect(new Set(destroyed)).toEqual(new Set(['machine-1', 'machine-2']))
  expect(told).toContainEqual([
    'a machine that no rental accounts for could not be destroyed',
    { provider: 'vastai', detail: 'machine-0', error: 'Error: a canary' },
  ])
})
