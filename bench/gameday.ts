/** `npm run gameday`: the fault matrix, played on real processes under load and held against its bars. See docs/reliability.md. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { cacheRows } from './gameday/cache.ts'
import { measureCapacity } from './gameday/capacity.ts'
import { clockRows } from './gameday/clock.ts'
import { fastDay, fullPhases } from './gameday/days.ts'
import { podRows } from './gameday/pods.ts'
import { postgresRows } from './gameday/postgres.ts'
import { providerRows } from './gameday/providers.ts'
import { redisRows } from './gameday/redis.ts'
import type { Bar, Capacity, Day, GamedayRow } from './gameday/row.ts'
import { closeSettings } from './gameday/setting.ts'
import { strainRows } from './gameday/strain.ts'
import { explainGameday } from './misses.ts'
import { loadAverage } from './proc.ts'
import { pin, supervise } from './processes.ts'
import { createProgress } from './progress.ts'
import { table } from './rows.ts'
import { otherCore } from './systems.ts'

interface Result {
  id: string
  title: string
  day: Day['name']
  bars: Bar[]
}

interface Results {
  /** By the number of gateways. */
  capacity?: Record<string, Capacity>
  rows: Result[]
}

const number = ({ id }: { id: string }) => Number(id.slice(1))
const all: GamedayRow[] = [
  ...providerRows,
  ...redisRows,
  ...postgresRows,
  ...clockRows,
  ...cacheRows,
  ...podRows,
  ...strainRows,
].sort((a, b) => number(a) - number(b))
const resultsFile = fileURLToPath(new URL('results/gameday.json', import.meta.url))

const { values } = parseArgs({
  options: {
    row: { type: 'string', multiple: true },
    fast: { type: 'boolean', default: false },
    resume: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
const unknown = values.row?.find((id) => !all.some((row) => row.id === id))
if (unknown) {
  console.error(`--row must be one of ${all.map(({ id }) => id).join(', ')}, got ${unknown}`)
  process.exit(2)
}

const progress = createProgress()
const rows = await supervise(run, closeSettings)
process.exit(rows.every(({ bars }) => bars.every(({ met }) => met)) ? 0 : 1)

async function run(): Promise<Result[]> {
  progress.show(`${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores; load average ${await loadAverage()}`)
  // With its links and providers, which are threads of this process.
  await pin(process.pid, otherCore)
  const say = (line: string) => progress.show(line)
  // What other runs found of other rows stays; what one core can do is measured anew.
  const { rows, capacity } = await former()
  const results: Results = { rows, ...(values.resume && capacity && { capacity }) }
  const save = async () => {
    await mkdir(join(resultsFile, '..'), { recursive: true })
    await writeFile(resultsFile, `${JSON.stringify(results, null, 2)}\n`)
  }
  const full: Day = {
    name: 'full',
    phases: fullPhases,
    async capacity(size) {
      const known = results.capacity?.[size]
      if (known) return known
      say(`measuring what ${size} on one core can do …`)
      const found = await measureCapacity(size, say)
      results.capacity = { ...results.capacity, [size]: found }
      await save()
      return found
    },
  }
  const day = values.fast ? fastDay : full
  const wanted = all.filter(({ id }) => values.row?.includes(id) ?? true)
  for (const [nth, { id, title, run }] of wanted.entries()) {
    if (values.resume && results.rows.some((row) => row.id === id && row.day === day.name)) {
      progress.show(`${id}: kept from the run before`)
      continue
    }
    progress.show(`${id}: ${title} (row ${nth + 1} of ${wanted.length})`)
    const bars = await run(say, day)
    results.rows = [...results.rows.filter((row) => row.id !== id), { id, title, day: day.name, bars }].sort(
      (a, b) => number(a) - number(b),
    )
    await save()
    progress.show(`${id}: ${bars.every(({ met }) => met) ? 'met' : 'MISSED'}`)
  }
  const shown = results.rows.filter(({ id }) => wanted.some((row) => row.id === id))
  progress.print(values.json ? JSON.stringify(results) : `\n${report(results, shown)}\n\nwritten to ${resultsFile}`)
  return shown
}

async function former(): Promise<Results> {
  try {
    return JSON.parse(await readFile(resultsFile, 'utf8')) as Results
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { rows: [] }
    throw error
  }
}

function report({ capacity }: Results, shown: readonly Result[]): string {
  const lines = shown.flatMap(({ id, bars }) =>
    bars.map(({ name, want, got, met }) => [id, name, want, got, want === '' ? '' : met ? 'met' : 'MISSED']),
  )
  const bars = shown.flatMap(({ bars }) => bars.filter(({ want }) => want !== ''))
  const cores = Object.entries(capacity ?? {}).map(
    ([size, { chats, streams, provider }]) =>
      `${size} on one core: ${chats.toFixed(0)} completions/s, ${streams.toFixed(0)} streams of 200 tokens/s; the provider itself ${provider.toFixed(0)}/s`,
  )
  return [
    table(['row', 'what', 'want', 'got', ''], lines),
    ...(cores.length > 0 ? ['', ...cores] : []),
    '',
    `${bars.filter(({ met }) => met).length} of ${bars.length} bars met in ${shown.length} of ${all.length} rows`,
    explainGameday(shown.flatMap(({ id, bars }) => bars.filter(({ met }) => !met).map((bar) => ({ ...bar, of: id })))),
  ].join('\n')
}
