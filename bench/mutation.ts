/**
 * How many faults the tests notice: changes one place of the code at a time and runs the tests that reach it.
 * One worker, so that it takes one core; about a quarter of an hour a room. The exit code is 0 only where every room passes.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Score, scoresOf, tableOf, totalOf } from './mutation/score.ts'

const rooms: Record<string, string> = {
  resilience: 'src/resilience/*.ts,!src/resilience/*.test.ts',
  // Spelled out: the runner takes a comma for the end of a pattern, also within braces.
  rescue: ['relay-stream', 'rescue', 'splice', 'transcript', 'continuation', 'waits']
    .map((f) => `src/services/${f}.ts`)
    .concat('src/providers/stream-run.ts')
    .join(),
}
const barPercent = 90

const { values } = parseArgs({
  options: { room: { type: 'string', multiple: true }, file: { type: 'string', multiple: true } },
})
const unknown = values.room?.find((room) => !(room in rooms))
if (unknown) throw new Error(`--room must be one of ${Object.keys(rooms).join(', ')}, got ${unknown}`)

const root = join(import.meta.dirname, '..')
const folder = join(import.meta.dirname, 'mutation')
const stryker = join(folder, 'node_modules/@stryker-mutator/core/bin/stryker.js')

async function run(program: string, ...args: string[]): Promise<void> {
  const child = spawn(program, args, { cwd: root, stdio: 'inherit' })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`${program} ${args[0]} ended with ${code}`)
}

async function mutate(files: string): Promise<Score[]> {
  await run(process.execPath, stryker, 'run', join(folder, 'stryker.config.json'), '--mutate', files)
  return scoresOf(JSON.parse(await readFile(join(root, '.cache/mutation/report.json'), 'utf8')))
}

if (!existsSync(stryker)) {
  await run('npm', 'ci', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund')
}
if (values.file) console.log(tableOf(await mutate(values.file.join())))
else {
  const scores: Score[] = []
  const totals: Score[] = []
  for (const room of values.room ?? Object.keys(rooms)) {
    const files = await mutate(rooms[room]!)
    scores.push(...files)
    totals.push(totalOf(room, files))
  }
  console.log(`\n${tableOf([...scores, ...totals])}`)
  if (totals.some(({ percent }) => percent < barPercent)) process.exitCode = 1
}
