/**
 * `npm run rentals -- [--histories 10000] [--seed N] [--only SEED] [--bug NAME]`: random histories of rents, crashes and
 * faults on a fake clock, each held against the markets' own bills. Exits with 1 where one does not end well.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createProgress } from './progress.ts'
import { type Bug, bugs } from './rentals/bugs.ts'
import { type History, runHistory } from './rentals/history.ts'
import { loadOffers } from './rentals/offers.ts'
import { addTo, type Tally } from './rentals/tally.ts'

const resultFile = fileURLToPath(new URL('results/rentals.json', import.meta.url))

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '10000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    only: { type: 'string' },
    bug: { type: 'string' },
  },
})
const { bug, only } = values
if (bug !== undefined && !isBug(bug)) {
  console.error(`--bug must be one of ${Object.keys(bugs).join(', ')}, got ${bug}`)
  process.exit(1)
}
const first = numberOf('seed', only ?? values.seed)
const histories = only === undefined ? numberOf('histories', values.histories) : 1

const progress = createProgress()
const offered = await loadOffers()
const tally: Tally = new Map()
const failed: History[] = []
const since = performance.now()
let shownAt = since
for (let n = 0; n < histories; n++) {
  const history = await runHistory({
    seed: first + n,
    offered,
    bug,
    trace: only === undefined ? undefined : progress.print,
  })
  addTo(tally, history.tally)
  if (history.violations.length > 0) {
    failed.push(history)
    for (const each of history.violations) progress.print(`${history.seed}: ${each}`)
  }
  if (performance.now() - shownAt < 2_000) continue
  shownAt = performance.now()
  progress.show(`${n + 1} of ${histories} histories, seeds from ${first}, ${failed.length} with violations`)
}
const seconds = Math.round((performance.now() - since) / 1000)
const { user, system } = process.cpuUsage()
const cpuSeconds = Math.round((user + system) / 1e6)

const counts = Object.fromEntries([...tally].sort(([a], [b]) => (a < b ? -1 : 1)))
for (const [name, n] of Object.entries(counts)) progress.print(`${String(n).padStart(9)}  ${name}`)
const violations = failed.reduce((sum, each) => sum + each.violations.length, 0)
progress.print(
  `\n${histories} histories, seeds from ${first}: ${violations} violations in ${failed.length} of them, ${seconds} s, of a CPU ${cpuSeconds} s`,
)
if (failed.length > 0) progress.print(`again: npm run rentals -- --only ${failed[0]!.seed}`)
if (only === undefined && bug === undefined) {
  const result = {
    histories,
    seed: first,
    seconds,
    cpuSeconds,
    violations,
    failed: failed.map(({ seed }) => seed),
    counts,
  }
  await mkdir(join(resultFile, '..'), { recursive: true })
  await writeFile(resultFile, `${JSON.stringify(result, null, 2)}\n`)
}
process.exit(violations === 0 ? 0 : 1)

function isBug(name: string): name is Bug {
  return Object.hasOwn(bugs, name)
}

function numberOf(name: string, text: string): number {
  const number = Number(text)
  if (Number.isSafeInteger(number) && number >= 0) return number
  console.error(`--${name} must be a whole number, got ${text}`)
  process.exit(1)
}
