import { beforeEach, describe, expect, test } from 'vitest'
import { createWrittenAccounts, maxAccounts, type WrittenAccounts } from './written-accounts.ts'

let now: number
let timeline: string
let written: WrittenAccounts
const look = (lsn: number, writes: [string, string][] = []) =>
  written.seen({
    startedAt: now,
    lsn,
    timeline,
    writes: writes.map(([accountId, version]) => ({ accountId, version })),
  })

beforeEach(() => {
  now = 1_000
  timeline = '1'
  written = createWrittenAccounts({ now: () => now })
})

test('before the first look nobody reads from a replica, then from one that is as far as the primary was', () => {
  expect(written.requiredLsn('a')).toBe(Infinity)
  look(100)
  expect(written.requiredLsn('a')).toBe(100)
})

describe('after the first look', () => {
  beforeEach(() => look(100))

  test('whoever has written reads from the primary until a look that began after it', () => {
    now = 1_200
    written.mark('a')
    expect(written.requiredLsn('a')).toBe(Infinity)
    written.seen({ startedAt: 1_150, lsn: 150, timeline, writes: [] })
    expect(written.requiredLsn('a')).toBe(Infinity)
    now = 1_500
    look(200)
    expect(written.requiredLsn('a')).toBe(200)
    expect(written.requiredLsn('b')).toBe(100)
  })

  test('a write by another pod counts from the look that shows it, and not again in later ones', () => {
    now = 1_500
    look(200, [['a', 'v1']])
    expect(written.requiredLsn('a')).toBe(200)
    now = 2_000
    look(300, [['a', 'v1']])
    expect(written.requiredLsn('a')).toBe(200)
    now = 2_500
    look(400, [['a', 'v2']])
    expect(written.requiredLsn('a')).toBe(400)
  })

  test('after a gap in which writes of others may have been missed, everybody starts anew', () => {
    now = 60_000
    look(900)
    expect(written.requiredLsn('a')).toBe(900)
  })

  test('a promoted primary counts anew: it may be behind where the lost one was', () => {
    now = 1_200
    written.mark('a')
    now = 1_500
    look(200)
    timeline = '2'
    now = 2_000
    look(150)
    expect(written.requiredLsn('a')).toBe(150)
    expect(written.requiredLsn('b')).toBe(150)
  })

  test('an account that had to be forgotten is still shown what it wrote', () => {
    now = 1_200
    written.mark('first')
    now = 1_500
    look(200)
    for (let i = 0; i < maxAccounts; i++) written.mark(`other-${i}`)
    now = 2_000
    look(300)
    expect(written.requiredLsn('first')).toBeGreaterThanOrEqual(200)
  })

  test('more writers between two looks than can be remembered: all read from the primary', () => {
    for (let i = 0; i <= maxAccounts; i++) written.mark(`account-${i}`)
    expect(written.requiredLsn('anybody')).toBe(Infinity)
    now = 1_500
    look(200)
    expect(written.requiredLsn('account-0')).toBe(200)
  })
})
