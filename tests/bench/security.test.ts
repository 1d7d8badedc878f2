import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { judge } from '../../bench/security/judge.ts'
import { measures } from '../../bench/security/measures.ts'
import { collectRegexes } from '../../bench/security/regexes.ts'
import { type Threat, threats } from '../../bench/security/threats.ts'

const root = join(import.meta.dirname, '../..')

test('the 48 threats are there, in order, each with what shows it', () => {
  expect(threats.map(({ id }) => id)).toEqual(Array.from({ length: 48 }, (_, i) => i + 1))
  for (const { id, tests, measures: measured = [], bar } of threats) {
    expect([id, tests.length + measured.length > 0, bar.length > 20]).toEqual([id, true, true])
  }
})

test('every file and measure that a threat names is there', () => {
  const files = threats.flatMap(({ tests }) => tests.map(({ file }) => file))
  expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([])
  const named = new Set(threats.flatMap(({ measures: names = [] }) => names))
  expect([...named].sort()).toEqual(Object.keys(measures).sort())
})

const threat: Threat = { id: 1, name: 'a', bar: 'b', tests: [{ file: 'f', titles: ['one', 'two'] }] }
const ran = (...tests: [title: string, passed: boolean][]) =>
  new Map([['f', tests.map(([title, passed]) => ({ title, passed }))]])

test('a row is met where each of its titles matches a test and all of those pass', () => {
  expect(judge(threat, ran(['one', true], ['the two of them', true], ['three', false]), [])).toMatchObject({
    met: true,
    result: '2 tests',
  })
})

test.each<[string, ReturnType<typeof judge>]>([
  ['a test that failed', judge(threat, ran(['one', true], ['two', false]), [])],
  ['a title that no test has', judge(threat, ran(['one', true]), [])],
  ['a file that did not run', judge(threat, new Map(), [])],
  ['a file without tests', judge({ ...threat, tests: [{ file: 'f', titles: [] }] }, ran(), [])],
  [
    'a bar that is missed',
    judge({ ...threat, tests: [] }, new Map(), [{ name: 'a', want: '1', got: '2', met: false }]),
  ],
  ['nothing at all', judge({ ...threat, tests: [] }, new Map(), [])],
])('it is not met with %s', (_what, verdict) => expect(verdict.met).toBe(false))

test('the regular expressions are found, divisions and paths are none', () => {
  const found = collectRegexes()
  expect(found.length).toBeGreaterThan(100)
  expect(found.some(({ file }) => file === 'src/routes/offer-filters.ts')).toBe(true)
})
