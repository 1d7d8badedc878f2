/** `npm run rolling`: restarts three real gateways behind nginx under load; nobody may notice. */
import { mkdir, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadAverage } from './proc.ts'
import { supervise } from './processes.ts'
import { createProgress } from './progress.ts'
import { judge } from './rolling/judge.ts'
import { runRolling } from './rolling/run.ts'
import { table } from './rows.ts'

const resultsFile = fileURLToPath(new URL('results/rolling.json', import.meta.url))
const options = { pods: 3, requestsPerSecond: 200, streams: 20, tokenIntervalMs: 100 }
const progress = createProgress()
progress.show(`${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores; load average ${await loadAverage()}`)
const result = await supervise(
  () => runRolling({ ...options, onProgress: progress.show }),
  async () => {},
)
const bars = judge(options, result)
await mkdir(join(resultsFile, '..'), { recursive: true })
await writeFile(resultsFile, `${JSON.stringify({ bars, options, ...result }, null, 2)}\n`)
const rows = bars.map(({ name, want, got, met }) => [name, want, got, want === '' ? '' : met ? 'met' : 'MISSED'])
progress.print(`\n${table(['what', 'want', 'got', ''], rows)}`)
process.exit(bars.every(({ met }) => met) ? 0 : 1)
