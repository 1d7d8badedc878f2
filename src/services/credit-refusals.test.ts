import { expect, test } from 'vitest'
import { refusalOf } from './credit-refusals.ts'

const answer = {
  ...{ granted: 0, spendable: 20_000, elsewhere: 0, held: 0, limited: false, blocked: undefined, shadowed: undefined },
}
const window = {
  by: 'window',
  window: '60min',
  limit: 1_000_000,
  spent: 900_000,
  asked: 1,
  freesAtMinute: 100,
} as const

test('too little credit: what it may cost, what there is, what is held, and what to do', () => {
  const error = refusalOf({ ...answer, held: 30_000, elsewhere: 10_000 }, 50_000, 0)
  expect([error.status, error.code]).toEqual([402, 'insufficient_credit'])
  expect(error.message).toBe(
    'This may cost up to $0.05; $0.02 of credit is available, and $0.04 is held by what is under way. Add credit, or ask for less.',
  )
})

test('a guard rail: its name, the whole of what was asked for, and when it fits', () => {
  const error = refusalOf({ ...answer, blocked: window }, 200_000, 90 * 60_000)
  expect(error).toMatchObject({ status: 402, code: 'guardrail_exceeded' })
  expect(error.options).toMatchObject({
    retryAfterMs: 10 * 60_000,
    members: { window: '60min', limit: '1.00', spent: '0.90', asked: '0.20', frees_at: '1970-01-01T01:40:00.000Z' },
  })
})

test('more than the whole window never fits, so nobody is told to come back', () => {
  const { options } = refusalOf({ ...answer, blocked: window }, 1_000_001, 0)
  expect(options.retryAfterMs).toBeUndefined()
  expect(options.members).toMatchObject({ frees_at: null })
})

test("a key's budget", () => {
  const blocked = { by: 'budget', period: 'day', limit: 100, spent: 90, asked: 1 } as const
  const error = refusalOf({ ...answer, blocked }, 20, 0)
  expect(error).toMatchObject({ status: 402, code: 'budget_exceeded' })
  expect(error.message).toMatch(/Use another key, or have its budget raised\.$/)
})
