import { expect, it } from 'vitest'
import { callTimeouts } from './call-timeouts.ts'

const byDefault = { headersMs: 30_000, firstTokenMs: 10_000, idleMs: 15_000, totalMs: 600_000 }

it.each([
  ['the configuration', {}, false, [10_000, 15_000, 120_000]],
  ['the table', { firstTokenMs: 3_000, idleMs: 200_000 }, false, [3_000, 200_000, 200_000]],
  ['that a model thinks', {}, true, [120_000, 120_000, 600_000]],
  ['the table, also where a model thinks', { firstTokenMs: 3_000, idleMs: 4_000 }, true, [3_000, 4_000, 120_000]],
])('silence is put up with by %s', (_, own, thinks, [firstTokenMs, idleMs, lastSilenceMs]) => {
  expect(callTimeouts(own, byDefault, thinks)).toMatchObject({ firstTokenMs, idleMs, lastSilenceMs })
})

it('headers may be as late as the first word', () => {
  expect(callTimeouts({ firstTokenMs: 50_000 }, byDefault, false).headersMs).toBe(50_000)
  expect(callTimeouts({ firstTokenMs: 50_000, headersMs: 2_000 }, byDefault, false).headersMs).toBe(2_000)
  expect(callTimeouts({}, byDefault, true).headersMs).toBe(120_000)
  expect(callTimeouts({ firstTokenMs: 50_000 }, byDefault, true).headersMs).toBe(50_000)
  expect(callTimeouts({}, { ...byDefault, headersMs: 1_000 }, false).headersMs).toBe(1_000)
})
