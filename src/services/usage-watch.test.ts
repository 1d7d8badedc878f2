import { expect, test } from 'vitest'
import { FakeClock, settled } from '../../tests/support/fake-clock.ts'
import { createUsageWatch } from './usage-watch.ts'

function setUp(now: string) {
  const clock = new FakeClock({ wallMs: Date.parse(now) })
  const done: string[] = []
  const warnings: string[] = []
  const mode = { readOnly: false }
  const turn = { isMine: true }
  const away = { after: Infinity }
  const watch = createUsageWatch({
    ...{ clock, mode, random: () => 0.5, holder: 'this one' },
    turns: { take: async () => turn.isMine, endTurn: async () => {} },
    log: { debug() {}, info() {}, warn: (message) => void warnings.push(message), error() {} },
    sums: {
      async sum(month) {
        done.push(`sum ${month}`)
        if (away.after < done.length) throw new Error('away')
      },
      async mend(from) {
        done.push(`mend ${from}`)
        return 0
      },
    },
  })
  return { clock, watch, done, warnings, mode, turn, away }
}

test('sums the month at once and every three minutes, the month before too on its first day', async () => {
  const { clock, watch, done } = setUp('2026-11-01T23:58:00Z')
  watch.start()
  await settled()
  expect(done).toEqual(['mend 2026-10-31', 'sum 2026-10-01', 'sum 2026-11-01'])
  done.length = 0
  await clock.advance(180_000)
  expect(done).toEqual(['mend 2026-11-01', 'sum 2026-11-01'])
  watch.stop()
  done.length = 0
  await clock.advance(600_000)
  expect(done).toEqual([])
})

test('sums the month before now and then, for what comes in late', async () => {
  const { clock, watch, done } = setUp('2026-03-02T00:30:00Z')
  watch.start()
  await settled()
  for (let i = 0; i < 10; i++) {
    expect(done.filter((each) => each === 'sum 2026-02-01')).toHaveLength(1)
    await clock.advance(180_000)
  }
  expect(done.filter((each) => each === 'sum 2026-02-01')).toHaveLength(2)
})

test('leaves it to the pod whose turn it is, and does nothing while nothing may be written', async () => {
  const { clock, watch, done, mode, turn } = setUp('2026-11-10T12:00:00Z')
  mode.readOnly = true
  watch.start()
  await settled()
  mode.readOnly = false
  turn.isMine = false
  await clock.advance(180_000)
  expect(done).toEqual([])
})

test('tells what failed, and tries again', async () => {
  const { clock, watch, done, warnings, away } = setUp('2026-11-10T12:00:00Z')
  away.after = 8
  watch.start()
  await settled()
  for (let i = 0; i < 5; i++) await clock.advance(180_000)
  expect(done).toHaveLength(13)
  expect(warnings.length).toBeGreaterThan(0)
})
