/** Whether the time of a refusal tells anything: `npm run bench:timing` with fewer samples. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Bar } from '../bars.ts'

const program = fileURLToPath(new URL('../timing.ts', import.meta.url))
const samples = 200
const limit = 4.5
const pairs = 3
const timeoutMs = 300_000

export async function measureTiming(show: (line: string) => void): Promise<Bar[]> {
  show(`timing: ${samples} attempts of each of ${pairs} pairs that must look the same`)
  const args = [program, '--samples', String(samples)]
  // It ends with 1 where its figures are too high, and these are judged here.
  const stdout = await promisify(execFile)(process.execPath, args, { timeout: timeoutMs }).then(
    (ended) => ended.stdout,
    (error: Error & { stdout?: string }) => error.stdout ?? '',
  )
  const found = [...stdout.matchAll(/ t = (-?[\d.]+), .* (-?[\d.]+) \(limit/g)]
  if (found.length !== pairs) throw new Error(`bench/timing.ts told of ${found.length} pairs, not of ${pairs}`)
  const got = Math.max(...found.flatMap(([, all, cropped]) => [Number(all), Number(cropped)]).map(Math.abs))
  return [{ name: 'largest |t| of any pair', want: `< ${limit}`, got: got.toFixed(2), met: got < limit }]
}
