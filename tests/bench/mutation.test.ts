import { expect, test } from 'vitest'
import { scoresOf, tableOf, totalOf } from '../../bench/mutation/score.ts'

const mutants = (...statuses: string[]) => ({ mutants: statuses.map((status) => ({ status })) })

test('a mutant counts as noticed where a test fails or never ends, and not where none reaches it', () => {
  const [score] = scoresOf({
    files: { 'a.ts': mutants('Killed', 'Killed', 'Timeout', 'Survived', 'NoCoverage', 'RuntimeError') },
  })
  expect(score).toEqual({ file: 'a.ts', mutants: 5, killed: 2, timedOut: 1, survived: 2, percent: 60 })
})

test('a room’s score is that of its mutants, not the mean of its files', () => {
  const files = scoresOf({ files: { 'b.ts': mutants('Killed'), 'a.ts': mutants('Killed', 'Survived', 'Survived') } })
  expect(files.map(({ file }) => file)).toEqual(['a.ts', 'b.ts'])
  expect(totalOf('room', files)).toEqual({
    file: 'room',
    mutants: 4,
    killed: 2,
    timedOut: 0,
    survived: 2,
    percent: 50,
  })
})

test('a mutant that was not judged is no score', () => {
  expect(() => scoresOf({ files: { 'a.ts': mutants('Killed', 'Pending') } })).toThrow('a.ts')
})

test('a score just below the bar is not shown as the bar', () => {
  const almost = totalOf('room', [
    { file: 'a', mutants: 10_000, killed: 8_996, timedOut: 0, survived: 1_004, percent: 0 },
  ])
  expect(tableOf([almost])).toContain('| room | 10000 | 8996 | 0 | 1004 | 89.9 |')
})
