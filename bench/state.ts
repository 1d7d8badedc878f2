/** `npm run bench:state`: what Redis costs a small completion on the hot path, against the same gateway without it. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startRedis } from '../tests/support/redis.ts'
import { chatRequest } from './answers.ts'
import { measure, rate, type Sample } from './measure.ts'
import { loadAverage } from './proc.ts'
import { type Server, supervise } from './processes.ts'
import { createProgress } from './progress.ts'
import { table } from './rows.ts'
import { median, roundRatios, type Spread, spread, total } from './statistics.ts'
import { apiKey, otherCore, startFakeProvider, startGateway } from './systems.ts'
import { runWrk } from './wrk.ts'

const resultsFile = fileURLToPath(new URL('results/state.json', import.meta.url))
const connections = 32
const warmUpSeconds = 10
const bar = 1.15
const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '7' }, seconds: { type: 'string', default: '4' } },
})
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
if (!(rounds >= 1 && seconds >= 1)) {
  console.error('--rounds and --seconds must be at least 1')
  process.exit(2)
}

const progress = createProgress()
const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-state-'))
const met = await supervise(run, () => rm(folder, { recursive: true, force: true }))
process.exit(met ? 0 : 1)

async function run(): Promise<boolean> {
  const load = await loadAverage()
  const [provider, redis] = await Promise.all([startFakeProvider(), startRedis()])
  const openaiUrl = `${provider.url}/v1`
  const alone = await startGateway({ folder: join(folder, 'alone'), openaiUrl })
  const shared = await startGateway({ folder: join(folder, 'shared'), openaiUrl, env: { REDIS_URL: redis.url } })
  const once = (server: Server, forSeconds: number) =>
    measure(server, () =>
      runWrk({
        url: server.url,
        request: { method: 'POST', path: '/v1/chat/completions', body: chatRequest, headers },
        connections,
        seconds: forSeconds,
        core: otherCore,
      }),
    )
  const samples: { alone: Sample[]; shared: Sample[] } = { alone: [], shared: [] }
  for (const server of [alone, shared]) await once(server, warmUpSeconds)
  const calls = async () => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis.admin.info('commandstats'))?.[1] ?? 0)
  const before = await calls()
  for (let round = 0; round < rounds; round++) {
    progress.show(`round ${round + 1} of ${rounds}`)
    samples.alone.push(await once(alone, seconds))
    samples.shared.push(await once(shared, seconds))
  }
  const scripts = (await calls()) - before
  const cpu = ({ cpuSecondsPer1000 }: Sample) => cpuSecondsPer1000
  const ratio: Spread = spread(roundRatios(samples.shared.map(cpu), samples.alone.map(cpu)))
  const sent = samples.shared.reduce((sum, sample) => sum + sample.sent, 0)
  const result = { load_before: load, rounds, seconds, ratio_cpu: ratio, scripts, sent }
  await mkdir(join(resultsFile, '..'), { recursive: true })
  await writeFile(resultsFile, `${JSON.stringify(result, null, 2)}\n`)
  const row = (name: string, all: Sample[]) => [
    name,
    median(all.map(rate)).toFixed(0),
    (median(all.map(cpu)) * 1000).toFixed(1),
    String(all.reduce((sum, { refused, failed }) => sum + total(refused) + total(failed), 0)),
  ]
  progress.print(
    table(
      ['gateway', 'req/s', 'CPU ms per 1,000', 'not answered'],
      [row('in-process', samples.alone), row('with Redis', samples.shared)],
    ),
  )
  progress.print(
    `\nCPU per completion with Redis against without: ${ratio.median.toFixed(3)} (${ratio.min.toFixed(3)}–${ratio.max.toFixed(3)}), ` +
      `want <= ${bar}: ${ratio.median <= bar ? 'met' : 'MISSED'}\n${scripts} scripts for ${sent} completions; load average before ${load}`,
  )
  await Promise.all([alone.stop(), shared.stop()])
  await Promise.all([provider.stop(), redis.close()])
  return ratio.median <= bar
}
