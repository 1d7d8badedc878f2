/** `npm run security`: the threats of docs/security.md, each held against its tests and measures. Ends with a table. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Bar } from './bars.ts'
import { explainSecurity } from './misses.ts'
import { supervise } from './processes.ts'
import { createProgress } from './progress.ts'
import { table } from './rows.ts'
import { judge, type Verdict } from './security/judge.ts'
import { type MeasureName, measures } from './security/measures.ts'
import { runTests } from './security/run-tests.ts'
import { threats } from './security/threats.ts'

const resultsFile = fileURLToPath(new URL('results/security.json', import.meta.url))
const { values } = parseArgs({
  options: { row: { type: 'string', multiple: true }, json: { type: 'boolean', default: false } },
})
const unknown = values.row?.find((id) => !threats.some((threat) => String(threat.id) === id))
if (unknown !== undefined) {
  console.error(`--row must be one of 1 to ${threats.length}, got ${unknown}`)
  process.exit(2)
}

/** Of a cell. */
const longest = 90
const progress = createProgress()
const verdicts = await supervise(run, async () => {})
process.exit(verdicts.every(({ met }) => met) ? 0 : 1)

async function run(): Promise<Verdict[]> {
  const chosen = threats.filter(({ id }) => values.row?.includes(String(id)) ?? true)
  const files = [...new Set(chosen.flatMap(({ tests }) => tests.map(({ file }) => file)))]
  progress.show(`${chosen.length} threats, ${files.length} files of tests`)
  const ran = await runTests(files, progress.show)
  const bars = new Map<MeasureName, Bar[]>()
  for (const name of new Set(chosen.flatMap(({ measures }) => measures ?? []))) {
    bars.set(name, await measured(name))
  }

  const verdicts = chosen.map((threat) =>
    judge(
      threat,
      ran,
      (threat.measures ?? []).flatMap((name) => bars.get(name) ?? []),
    ),
  )
  await mkdir(join(resultsFile, '..'), { recursive: true })
  await writeFile(resultsFile, `${JSON.stringify({ rows: verdicts }, null, 2)}\n`)
  progress.print(values.json ? JSON.stringify({ rows: verdicts }) : report(verdicts))
  return verdicts
}

/** One that could not be taken is not met, and the others are taken all the same. */
async function measured(name: MeasureName): Promise<Bar[]> {
  progress.show(`measuring: ${name}`)
  try {
    return await measures[name](progress.show)
  } catch (error) {
    return [{ name, want: 'a figure', got: error instanceof Error ? error.message : String(error), met: false }]
  }
}

function report(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ id, name, how, met, result }) => [
    String(id),
    name,
    short(how),
    met ? 'met' : 'NOT MET',
    short(result),
  ])
  const met = verdicts.filter((each) => each.met).length
  const all = table(['#', 'threat', 'how checked', '', 'result'], rows)
  const why = explainSecurity(verdicts.flatMap(({ missed }) => missed))
  return `\n${all}\n${why}\n${met} of ${verdicts.length} met; all of it in ${resultsFile}`
}

function short(text: string): string {
  return text.length > longest ? `${text.slice(0, longest)} …` : text
}
