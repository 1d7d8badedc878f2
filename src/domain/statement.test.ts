import fc from 'fast-check'
import { expect, test } from 'vitest'
import { dayOf, daysAfter, daysWithin } from './statement.ts'

test('days are those of UTC', () => {
  expect(dayOf(Date.parse('2026-11-25T23:59:59.999Z'))).toBe('2026-11-25')
  expect(daysAfter('2028-02-28', 2)).toBe('2028-03-01')
  expect(daysAfter('2026-01-01', -1)).toBe('2025-12-31')
  expect(daysWithin('2026-01-01', '2026-01-01')).toBe(1)
})

test('so many days later are so many days and one', () => {
  const day = fc.date({ min: new Date('1970-01-01'), max: new Date('2100-01-01'), noInvalidDate: true })
  fc.assert(
    fc.property(day, fc.integer({ min: -1_000, max: 1_000 }), (date, days) => {
      const from = dayOf(date.getTime())
      expect(daysWithin(from, daysAfter(from, days))).toBe(days + 1)
    }),
  )
})
