/** `npm run gameday`: faults of what lies behind the gateway, under load, held against their bars. See docs/resilience.md. */
import { mkdir, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { cacheRows } from './gameday/cache.ts'
import { clockRows } from './gameday/clock.ts'
import { postgresRows } from './gameday/postgres.ts'
import { redisRows } from './gameday/redis.ts'
import type { Bar, GamedayRow } from './gameday/row.ts'
import { loadAverage } from './proc.ts'
import { supervise } from './processes.ts'
import { createProgress } from './progress.ts'
import { table } from './rows.ts'

const all: GamedayRow[] = [...redisRows, ...postgresRows, ...clockRows, ...cacheRows]
const resultsFile = fileURLToPath(new URL('results/gameday.json', import.meta.url))

const { values } = parseArgs({
  options: { row: { type: 'string', multiple: true }, json: { type: 'boolean', default: false } },
})
const unknown = values.row?.find((id) => !all.some((row) => row.id === id))
if (unknown) {
  console.error(`--row must be one of ${all.map(({ id }) => id).join(', ')}, got ${unknown}`)
  process.exit(2)
}

const progress = createProgress()
const rows = await supervise(run, async () => {})
process.exit(rows.every(({ bars }) => bars.every(({ met }) => met)) ? 0 : 1)

async function run(): Promise<{ id: string; bars: Bar[] }[]> {
  progress.show(`${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores; load average ${await loadAverage()}`)
  const rows: { id: string; title: string; bars: Bar[] }[] = []
  for (const { id, title, run } of all.filter(({ id }) => values.row?.includes(id) ?? true)) {
    progress.show(`${id}: ${title}`)
    const bars = await run((line) => progress.show(line))
    rows.push({ id, title, bars })
    progress.show(`${id}: ${bars.every(({ met }) => met) ? 'met' : 'MISSED'}`)
  }
  await mkdir(join(resultsFile, '..'), { recursive: true })
  await writeFile(resultsFile, `${JSON.stringify({ rows }, null, 2)}\n`)
  progress.print(values.json ? JSON.stringify({ rows }) : `\n${report(rows)}\n\nwritten to ${resultsFile}`)
  return rows
}

function report(rows: readonly { id: string; title: string; bars: Bar[] }[]): string {
  const lines = rows.flatMap(({ id, bars }) =>
    bars.map(({ name, want, got, met }) => [id, name, want, got, want === '' ? '' : met ? 'met' : 'MISSED']),
  )
  return table(['row', 'what', 'want', 'got', ''], lines)
}
