import { expect, test } from 'vitest'
import { idAt } from '../../tests/support/ledger-rows.ts'
import { startOf } from './receipt.ts'

test.each([0, Date.parse('2026-11-25T23:59:59.999Z'), 2 ** 48 - 1])('an id tells when its request began: %i', (ms) => {
  expect(startOf(idAt(ms))).toBe(ms)
})

test.each([
  '',
  'x',
  '0192f0c0-0000-4000-8000-000000000000',
  '0192f0c0-0000-7000-c000-000000000000',
  '0192F0C0-0000-7000-8000-000000000000',
  ' 0192f0c0-0000-7000-8000-000000000000',
])('%j is no id of a request', (id) => expect(startOf(id)).toBeUndefined())
