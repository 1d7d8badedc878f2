/** `npm run crash`: kills the gateway 200 times under load, and tells what its books are worth. */
import { parseArgs } from 'node:util'
import { seededRandom } from '../tests/support/seeded-random.ts'
import { runCrashes } from './crash/run.ts'

const { values } = parseArgs({ options: { kills: { type: 'string', default: '200' }, seed: { type: 'string' } } })
const seed = Number(values.seed ?? Date.now() % 1_000_000)
const report = await runCrashes({
  kills: Number(values.kills),
  random: seededRandom(seed),
  onKill: (kill, calls) => {
    if (kill % 10 === 0) console.log(`${kill} kills, ${calls} calls in the provider's record`)
  },
})
const { faults, ...counts } = report
console.table({ seed, ...counts, faults: faults.length })
for (const fault of faults.slice(0, 50)) console.log(fault)
process.exitCode = faults.length === 0 ? 0 : 1
