/** What the runs say of one threat. */
import type { Bar } from '../bars.ts'
import type { Missed } from '../misses.ts'
import type { RanTest } from './run-tests.ts'
import type { TestCheck, Threat } from './threats.ts'

export interface Verdict {
  id: number
  name: string
  how: string
  met: boolean
  missed: Missed[]
  /** Of what is not met; else counts and figures. */
  result: string
}

/** `bars`: those of its measures. */
export function judge(threat: Threat, ran: ReadonlyMap<string, readonly RanTest[]>, bars: readonly Bar[]): Verdict {
  const faults: string[] = []
  let passed = 0
  for (const check of threat.tests) {
    const found = matching(check, ran.get(check.file) ?? [])
    if (found.length === 0) faults.push(`no test in ${check.file}`)
    for (const title of unmatched(check, found)) faults.push(`no test called "${title}" in ${check.file}`)
    for (const { title } of found.filter((test) => !test.passed)) faults.push(`failed: ${title}`)
    passed += found.filter((test) => test.passed).length
  }
  const missed = bars.filter(({ met }) => !met).map(({ name, want, got }) => ({ of: threat.name, name, want, got }))
  for (const { name, want, got } of missed) faults.push(`${name}: ${got}, wanted ${want}`)
  if (threat.tests.length + bars.length === 0) faults.push('nothing shows it')
  const figures = bars.filter(({ want }) => want !== '').map(({ name, got, want }) => `${name}: ${got} (${want})`)
  return {
    id: threat.id,
    name: threat.name,
    how: howOf(threat),
    met: faults.length === 0,
    missed,
    result: faults.length > 0 ? faults.join('; ') : [...(passed > 0 ? [`${passed} tests`] : []), ...figures].join('; '),
  }
}

const matching = ({ titles }: TestCheck, ran: readonly RanTest[]) =>
  titles.length === 0 ? ran : ran.filter(({ title }) => titles.some((part) => title.includes(part)))

const unmatched = ({ titles }: TestCheck, found: readonly RanTest[]) =>
  titles.filter((part) => !found.some(({ title }) => title.includes(part)))

/** The files and measures, in short. */
export function howOf({ tests, measures = [], atLength }: Threat): string {
  const files = [...new Set(tests.map(({ file }) => file))]
  const measured = measures.map((name) => `measured: ${name}`)
  return [...files, ...measured, ...(atLength ? [`at length: ${atLength}`] : [])].join(', ')
}
