import { expect, test } from 'vitest'
import { listedOffers } from '../../tests/support/listed-offers.ts'
import { billionsOf, servedNames } from './serving.ts'
import { servingRate } from './serving-rate.ts'

const rate = (gpuModel: string, billions?: number, gpuCount = 1) =>
  servingRate({ gpuModel, gpuCount }, billions).outputTokensPerSecond

test('a larger model is slower, on every card', () => {
  for (const gpu of ['H100 SXM', 'RTX 4090', 'a card of tomorrow']) {
    const rates = [1, 8, 14, 32, 70, 140, 405].map((billions) => rate(gpu, billions))
    expect(rates).toEqual([...rates].sort((a, b) => b - a))
    expect(new Set(rates).size).toBe(rates.length)
    expect(rate(gpu)).toBe(rate(gpu, 8))
  }
})

test('several GPUs are faster than one, and not as fast as so many alone', () => {
  expect(rate('A100 SXM4', 70, 4)).toBeGreaterThan(3 * rate('A100 SXM4', 70))
  expect(rate('A100 SXM4', 70, 4)).toBeLessThan(4 * rate('A100 SXM4', 70))
})

test('a card that is not in the table is no faster than any that is', async () => {
  const unknown = servingRate({ gpuModel: 'GTX 1080', gpuCount: 1 }, 8)
  expect(unknown.isKnown).toBe(false)
  const found = (await listedOffers()).map(({ gpuModel }) => servingRate({ gpuModel, gpuCount: 1 }, 8))
  const known = found.filter(({ isKnown }) => isKnown)
  expect(known.length).toBeGreaterThan(found.length / 2)
  for (const { outputTokensPerSecond } of known) {
    expect(outputTokensPerSecond).toBeGreaterThan(unknown.outputTokensPerSecond)
  }
})

test('A100 is not taken for A1000, nor RTX 6000 Ada for RTX PRO 6000', () => {
  expect(servingRate({ gpuModel: 'RTX A1000', gpuCount: 1 }, 8).isKnown).toBe(false)
  expect(rate('RTX PRO 6000 S', 8)).toBeGreaterThan(rate('RTX 6000 Ada', 8))
})

test.each(servedNames)('the size of %s is known', (name) => {
  expect(billionsOf(name)).toBeGreaterThan(0.5)
})

test('the size is read from the name of a model, in whichever of its names it stands', () => {
  expect(billionsOf('mistral-nemo')).toBe(12)
  expect(billionsOf('mistralai/Mistral-Nemo-Instruct-2407')).toBe(12)
  expect(billionsOf('mistralai/Mixtral-8x7B-Instruct-v0.1')).toBe(56)
  expect(billionsOf('someone/a-model')).toBeUndefined()
})
