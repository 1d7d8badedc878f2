/** `npm run failover`: the sixteen faults a gateway must survive, and what it did. See docs/resilience.md. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Verdict } from './failover/judge.ts'
import { profiles } from './failover/profile.ts'
import { type Row, runScorecard } from './failover/scorecard.ts'
import { supervise } from './processes.ts'
import { createProgress } from './progress.ts'
import { table } from './rows.ts'
import { apiKey, startGateway } from './systems.ts'

const resultFile = fileURLToPath(new URL('results/failover.json', import.meta.url))

const { values } = parseArgs({
  options: { profile: { type: 'string', default: 'full' }, json: { type: 'boolean', default: false } },
})
if (!Object.hasOwn(profiles, values.profile)) {
  console.error(`--profile must be one of ${Object.keys(profiles).join(', ')}, got ${values.profile}`)
  process.exit(1)
}
const profile = profiles[values.profile as keyof typeof profiles]

const progress = createProgress()
const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-failover-'))
const rows = await supervise(run, () => rm(folder, { recursive: true, force: true }))
process.exit(rows.every(({ verdict }) => verdict === 'pass') ? 0 : 1)

async function run(): Promise<Row[]> {
  const since = performance.now()
  const rows = await runScorecard({
    profile,
    apiKey,
    routingFile: join(folder, 'routing.yaml'),
    startGateway: (env) => startGateway({ folder, env }),
    onProgress: progress.show,
  })
  const result = {
    profile: profile.name,
    faults: rows.map(({ id, verdict, checks }) => ({ id, verdict, saw: sawOf(checks) })),
  }
  await mkdir(join(resultFile, '..'), { recursive: true })
  await writeFile(resultFile, `${JSON.stringify(result, null, 2)}\n`)
  if (values.json) progress.print(JSON.stringify(result))
  else {
    progress.print(`\n${report(rows)}`)
    progress.print(
      `\n${score(rows)}, in ${((performance.now() - since) / 1000).toFixed(0)} s; written to ${resultFile}`,
    )
  }
  return rows
}

function sawOf(checks: Row['checks']): string {
  const mark = (verdict: Verdict) => (verdict === 'pass' ? '' : `${verdict.toUpperCase()} `)
  return checks.map(({ name, saw, verdict }) => `${mark(verdict)}${name}: ${saw}`).join('; ')
}

function report(rows: readonly Row[]): string {
  const lines = rows.flatMap(({ id, title, verdict, checks }) =>
    checks.map((check, i) => [
      ...(i === 0 ? [id, title, verdict] : ['', '', '']),
      check.verdict === 'pass' ? 'ok' : check.verdict.toUpperCase(),
      check.name,
      check.saw,
    ]),
  )
  return table(['id', 'fault', 'verdict', '', 'check', 'saw'], lines)
}

function score(rows: readonly Row[]): string {
  const count = (wanted: Verdict) => rows.filter(({ verdict }) => verdict === wanted).length
  return (['pass', 'partial', 'safe', 'fail'] as const).map((verdict) => `${count(verdict)} ${verdict}`).join(', ')
}
