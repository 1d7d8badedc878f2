import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { breakEven, breakEvenTable, costPerMonth, costTable, customerTable } from '../../../bench/capacity/costs.ts'

test('what the guide adds up right, and what it does not', () => {
  expect(costPerMonth(50)).toBe(3_050)
  // It says 1,150.
  expect(costPerMonth(10)).toBe(1_050)
  // It says about 500.
  expect([breakEven(10, 5), breakEven(50, 5)]).toEqual([210, 610])
})

test('docs/capacity.md shows the tables that this arithmetic gives', async () => {
  const page = await readFile(new URL('../../../docs/capacity.md', import.meta.url), 'utf8')
  for (const table of [costTable(), customerTable(), breakEvenTable()]) expect(page).toContain(table)
})
