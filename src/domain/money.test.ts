import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatUsd, parseUsd } from './money.ts'

test.each([
  [0, '0.00'],
  [1, '0.000001'],
  [1_500_000, '1.50'],
  [-2_000_010, '-2.00001'],
  [999_999_999_999_999, '999999999.999999'],
])('%i micro-dollars are %s', (micro, text) => expect(formatUsd(micro)).toBe(text))

test.each(['', '1.', '.5', '-1', '1e3', '1.0000001', '1234567890', ' 1', '1,5', '0x1'])('%j is no amount', (text) =>
  expect(parseUsd(text)).toBeUndefined(),
)

test('what is written is read back', () => {
  void fc.assert(
    fc.property(fc.integer({ min: 0, max: 999_999_999_999_999 }), (micro) => {
      expect(parseUsd(formatUsd(micro))).toBe(micro)
    }),
  )
})
