import { expect, test } from 'vitest'
import { createMemoryTurns } from '../../adapters/memory/turns.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { seededRandom } from '../../tests/support/seeded-random.ts'
import type { MarketName } from '../domain/offer.ts'
import { createPriceWatch } from './price-watch.ts'

const hourMs = 3_600_000
const log = { debug() {}, info() {}, warn() {}, error() {} }

function fleet(pods: number, { readOnly = false, fails = false } = {}) {
  const clock = new FakeClock()
  const turns = createMemoryTurns({ clock })
  const looks: { market: MarketName; at: number }[] = []
  const offers = {
    async snapshot(market: MarketName) {
      looks.push({ market, at: clock.now() })
      if (fails) throw new Error('down')
      return { offers: [], asOf: '' }
    },
  }
  const watches = Array.from({ length: pods }, (_, n) =>
    createPriceWatch({
      ...{ clock, random: seededRandom(n + 1), offers, markets: ['vastai', 'ionet'], turns, holder: `pod ${n}` },
      ...{ mode: { readOnly }, log },
    }),
  )
  for (const { start } of watches) start()
  return { clock, looks, watches }
}

test.each([1, 7])(
  'of every hour each market’s price is known, and %i pods ask no more than six times',
  async (pods) => {
    for (const fails of [false, true]) {
      const { clock, looks, watches } = fleet(pods, { fails })
      const from = clock.now()
      for (let minutes = 0; minutes < 48 * 60; minutes += 5) await clock.advance(5 * 60_000)
      for (const { stop } of watches) stop()
      for (const market of ['vastai', 'ionet']) {
        for (let hour = 1; hour < 48; hour++) {
          const within = looks.filter(
            (look) => look.market === market && Math.floor((look.at - from) / hourMs) === hour,
          )
          expect(within.length).toBeGreaterThan(0)
          expect(within.length).toBeLessThanOrEqual(6)
        }
      }
    }
  },
)

test('nothing is asked for while nothing can be noted, nor after it is stopped', async () => {
  const reading = fleet(1, { readOnly: true })
  await reading.clock.advance(2 * hourMs)
  expect(reading.looks).toEqual([])
  const stopped = fleet(1)
  stopped.watches[0]!.stop()
  await stopped.clock.advance(2 * hourMs)
  expect(stopped.looks).toEqual([])
})
