import { beforeEach, describe, expect, test, vi } from 'vitest'
import type { WriteMode } from '../../../src/ports.ts'
import { FakeClock, settled } from '../../../tests/support/fake-clock.ts'
import { DatabaseUnavailable } from './failures.ts'
import type { Look, PrimaryWatch } from './primary-watch.ts'
import { createWriteMode } from './write-mode.ts'

let clock: FakeClock
let mode: WriteMode
let hear: (look: Look | undefined) => void
let store: ReturnType<typeof vi.fn<() => Promise<unknown>>>
const log = { debug() {}, info() {}, warn: vi.fn(), error() {} }

function create({ byEnvironment = false } = {}) {
  clock = new FakeClock()
  store = vi.fn(async () => [])
  const pools = { general: { query: store } } as never
  const watch: Pick<PrimaryWatch, 'subscribe'> = {
    subscribe(fn) {
      hear = fn
    },
  }
  mode = createWriteMode({ clock, log, pools, watch, byEnvironment })
}
/** A look that begins now and ends a millisecond later. */
const look = (readOnly?: 'true' | 'false') => {
  const startedAt = clock.now()
  clock.tick(1)
  hear({ startedAt, lsn: 1, timeline: '1', settings: readOnly ? { read_only: readOnly } : {}, writes: [] })
}

beforeEach(() => create())

test('all is well until somebody says otherwise', () => {
  look()
  expect(mode.status()).toEqual({ readOnly: false, reason: undefined, since: undefined, stored: true })
})

test('what the environment says no switch can undo', async () => {
  create({ byEnvironment: true })
  expect(await mode.set(false)).toMatchObject({ readOnly: true, reason: 'environment', since: expect.any(Date) })
})

describe('the switch', () => {
  test('is in force here at once and stored for the others', async () => {
    expect(await mode.set(true)).toMatchObject({ readOnly: true, reason: 'operator', stored: true })
    expect(store).toHaveBeenCalledOnce()
    expect(await mode.set(false)).toMatchObject({ readOnly: false, stored: true })
  })

  test('of another pod is in force with the next look', () => {
    look('true')
    expect(mode.readOnly).toBe(true)
    look('false')
    expect(mode.readOnly).toBe(false)
  })

  test('is not undone by a look that began before it', async () => {
    const startedAt = clock.now()
    clock.tick(5)
    await mode.set(true)
    hear({ startedAt, lsn: 1, timeline: '1', settings: {}, writes: [] })
    expect(mode.readOnly).toBe(true)
  })

  test('that no primary can take holds in this pod, says so, and is stored once one is back', async () => {
    store.mockRejectedValueOnce(new DatabaseUnavailable('x', 'unreachable'))
    expect(await mode.set(true)).toMatchObject({ readOnly: true, reason: 'operator', stored: false })
    look('false')
    await settled()
    expect(store).toHaveBeenCalledTimes(2)
    expect(mode.status()).toMatchObject({ readOnly: true, stored: true })
  })
})

describe('a lost primary', () => {
  test('makes the pod read-only at the second look that fails, and the second good one ends it', () => {
    look()
    hear(undefined)
    expect(mode.readOnly).toBe(false)
    hear(undefined)
    expect(mode.status()).toMatchObject({ readOnly: true, reason: 'primary_lost' })
    look()
    expect(mode.readOnly).toBe(true)
    look()
    expect(mode.readOnly).toBe(false)
  })

  test('that comes and goes does not count as back', () => {
    hear(undefined)
    hear(undefined)
    look()
    hear(undefined)
    look()
    expect(mode.readOnly).toBe(true)
  })

  test('is told after the reasons that an operator gave', async () => {
    hear(undefined)
    hear(undefined)
    store.mockRejectedValue(new DatabaseUnavailable('x', 'unreachable'))
    expect(await mode.set(true)).toMatchObject({ reason: 'operator' })
    expect(await mode.set(false)).toMatchObject({ readOnly: true, reason: 'primary_lost', stored: false })
  })
})

test('each change is logged with its reason', async () => {
  log.warn.mockClear()
  await mode.set(true)
  await mode.set(true)
  await mode.set(false)
  expect(log.warn.mock.calls).toEqual([
    ['nothing may be written now', { state: 'read_only', detail: 'operator' }],
    ['writing is allowed again', { state: 'read_write' }],
  ])
})
