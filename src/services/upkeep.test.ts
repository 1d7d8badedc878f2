import { expect, test } from 'vitest'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import type { Upkeep as UpkeepPort } from '../ports.ts'
import { createUpkeep } from './upkeep.ts'

const hourMs = 3_600_000

function setUp(own: Partial<UpkeepPort> = {}, { random = () => 0.5 }: { random?: () => number } = {}) {
  const clock = new FakeClock({ wallMs: Date.parse('2026-11-25T23:30:00Z') })
  const days: object[] = []
  const forgotten: { beforeMinute: number; max: number }[] = []
  const warnings: string[] = []
  const mode = { readOnly: false }
  const upkeep = createUpkeep({
    clock,
    random,
    mode,
    log: { debug() {}, info() {}, warn: (message) => void warnings.push(message), error() {} },
    port: {
      async keepReceiptDays(asked) {
        days.push(asked)
        return own.keepReceiptDays?.(asked) ?? 'done'
      },
      async forgetSpending(asked) {
        forgotten.push(asked)
        return own.forgetSpending?.(asked) ?? 0
      },
    },
  })
  return { clock, upkeep, days, forgotten, warnings, mode }
}

test('there is room for today and a week, and none for what is older than thirty days, before traffic comes', async () => {
  const { upkeep, days, clock } = setUp()
  await upkeep.start()
  expect(days[0]).toEqual({ from: '2026-11-25', to: '2026-12-02', dropBefore: '2026-10-26' })
  await settled()
  days.length = 0
  await clock.advance(hourMs)
  expect(days).toEqual([{ from: '2026-11-26', to: '2026-12-03', dropBefore: '2026-10-27' }])
})

test('pods do it at different moments of the hour', async () => {
  for (const [random, due] of [
    [0, 0.75 * hourMs],
    [1, 1.25 * hourMs],
  ] as const) {
    const { upkeep, days, clock } = setUp({}, { random: () => random })
    await upkeep.start()
    await settled()
    days.length = 0
    await clock.advance(due - 1)
    expect(days).toEqual([])
    await clock.advance(1)
    expect(days).toHaveLength(1)
  }
})

test('spending goes that no window looks at, in batches, and no more than so many an hour', async () => {
  const { upkeep, forgotten, clock } = setUp({ forgetSpending: async ({ max }) => max })
  await upkeep.start()
  await clock.advance(hourMs / 2)
  expect(forgotten).toHaveLength(200)
  expect(forgotten[0]).toEqual({ beforeMinute: Math.floor(Date.parse('2026-11-22T22:30:00Z') / 60_000), max: 5_000 })
})

test('where the tables are in use it tries again soon, and then leaves it to the next hour', async () => {
  const { upkeep, days, clock } = setUp({ keepReceiptDays: async () => 'busy' })
  await upkeep.start()
  await clock.advance(hourMs / 2)
  expect(days).toHaveLength(6)
})

test('a database that is away does not keep the gateway from starting, and is asked again within the hour', async () => {
  let away = true
  const { upkeep, days, warnings, clock } = setUp({
    async keepReceiptDays() {
      if (away) throw new Error('away')
      return 'done'
    },
  })
  await upkeep.start()
  await settled()
  expect(warnings.length).toBeGreaterThan(0)
  away = false
  const [asked, told] = [days.length, warnings.length]
  await clock.advance(hourMs)
  expect([days.length, warnings.length]).toEqual([asked + 1, told])
})

test('nothing is changed while nothing may be written, and after the end', async () => {
  const { upkeep, days, forgotten, mode, clock } = setUp()
  mode.readOnly = true
  await upkeep.start()
  await clock.advance(2 * hourMs)
  expect([days, forgotten]).toEqual([[], []])
  mode.readOnly = false
  await clock.advance(hourMs)
  expect(days).toHaveLength(1)
  upkeep.stop()
  expect(clock.pendingTimers).toBe(0)
  await clock.advance(3 * hourMs)
  expect(days).toHaveLength(1)
})
