/**
 * `npm run searches`: fifty whole gateways on one real Redis in real minutes, with the shared cache wiped all the time and
 * callers who want none: how often the market is searched. tests/fleet/searches.test.ts does it with a clock that skips.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { systemClock as clock } from '../src/resilience/clock.ts'
import { mostInAMinute, question, startSearchFleet } from '../tests/support/search-fleet.ts'
import { atMost, type Bar, told } from './bars.ts'
import { loadAverage } from './proc.ts'
import { createProgress } from './progress.ts'
import { table } from './rows.ts'
import { addCounts, total } from './statistics.ts'

const resultsFile = fileURLToPath(new URL('results/searches.json', import.meta.url))
const size = 50
const allowed = 10
const askEveryMs = 500
const wipeEveryMs = 200

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '3' } } })
const minutes = Number(values.minutes)
if (!(minutes >= 1)) {
  console.error('--minutes must be at least 1')
  process.exit(2)
}

const progress = createProgress()
const load = await loadAverage()
progress.show(`starting ${size} gateways …`)
const fleet = await startSearchFleet({ size, clock })
const until = clock.now() + minutes * 60_000
let statuses: Record<string, number> = {}
let asked = 0

async function callsOf(pod: number) {
  await sleep((pod / size) * askEveryMs)
  while (clock.now() < until) {
    const { query, headers } = question(asked++)
    const status = await fleet.ask(pod, query, headers)
    statuses = addCounts([statuses, { [status]: 1 }])
    await sleep(askEveryMs)
  }
}

async function wipes() {
  let times = 0
  for (; clock.now() < until; times++) {
    await fleet.wipe()
    await sleep(wipeEveryMs)
    if (times % 50 === 0)
      progress.show(`${Math.round((until - clock.now()) / 1_000)} s to go, ${fleet.searches().length} searches`)
  }
  return times
}

const [wiped] = await Promise.all([wipes(), ...fleet.pods.map((_, pod) => callsOf(pod))])
const searches = fleet.searches()
const bars: Bar[] = [
  atMost('searches in any minute', allowed, mostInAMinute(searches)),
  told('searches in all', `${searches.length} in ${minutes} minutes`),
  told(
    'questions',
    `${total(statuses)}: ${Object.entries(statuses)
      .map(([name, count]) => `${count} ${name}`)
      .join(', ')}`,
  ),
  told('the shared cache was wiped', `${wiped} times`),
  told('load average before', String(load)),
]
await fleet.close()
await mkdir(fileURLToPath(new URL('results', import.meta.url)), { recursive: true })
await writeFile(resultsFile, `${JSON.stringify({ size, minutes, bars }, null, 2)}\n`)
progress.print(
  table(
    ['', 'want', 'got', ''],
    bars.map(({ name, want, got, met }) => [name, want, got, met ? '' : 'MISSED']),
  ),
)
process.exit(bars.every(({ met }) => met) ? 0 : 1)
