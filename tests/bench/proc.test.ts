import { expect, test } from 'vitest'
import { busyShare, parseCoreTimes, parseCpuSeconds } from '../../bench/proc.ts'

test("a program's name may hold spaces and parentheses", () => {
  const stat = '42 (node (x) y) S 1 42 42 0 -1 4194304 9 0 0 0 150 50 7 7 20 0 11 0 1000 1 1 18446744073709551615'
  expect(parseCpuSeconds(stat)).toBe(2)
})

test('waiting for a disk is not being busy', () => {
  const stat = (user: number, idle: number, wait: number) =>
    `cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\ncpu1 ${user} 0 0 ${idle} ${wait} 0 0 0 0 0\nintr 5\n`
  const before = parseCoreTimes(stat(100, 100, 100), 1)
  const after = parseCoreTimes(stat(175, 115, 110), 1)
  expect(busyShare(before, after)).toBe(0.75)
})
