/**
 * `npm run bench:scaling`: what one idle and one busy pod ask of PostgreSQL and Redis, by the servers' own counts, and
 * what that makes of 3, 50 and 1,000 pods. See docs/scaling.md.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { connectPostgres } from '../adapters/node/postgres/client.ts'
import { systemClock as clock } from '../src/resilience/clock.ts'
import { databaseEnv, startTestPostgres } from '../tests/support/postgres.ts'
import { startRedis } from '../tests/support/redis.ts'
import { chatRequest } from './answers.ts'
import { startLoad } from './gameday/load.ts'
import { supervise } from './processes.ts'
import { createProgress } from './progress.ts'
import { table } from './rows.ts'
import { startFakeProvider, startGateway } from './systems.ts'

const resultsFile = fileURLToPath(new URL('results/scaling.json', import.meta.url))
const pods = [3, 50, 1_000]
/** A start lists the markets and makes rooms for receipts. */
const settleSeconds = 20
const seconds = 20
const busyPerSecond = 500
/** What each pod keeps open, whatever it does. */
const warm = 8

const progress = createProgress()
const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-scaling-'))
await supervise(run, () => rm(folder, { recursive: true, force: true }))

async function run(): Promise<void> {
  const [redis, postgres, provider] = await Promise.all([startRedis(), startTestPostgres(), startFakeProvider()])
  const start = (pod: string) =>
    startGateway({
      folder: join(folder, pod),
      openaiUrl: `${provider.url}/v1`,
      env: { ...databaseEnv(postgres), REDIS_URL: redis.url, DB_MAX_CONNS: String(warm), DB_MIN_CONNS: String(warm) },
    })
  const gateway = await start('pod')
  const watcher = await connectPostgres({ ...postgres.connection, clock, max: 1 })
  const ofPostgres = async () => {
    const [row] = await watcher.query(
      'count',
      undefined,
      (sql) => sql<{ statements: number; connections: number; pids: string }[]>`
        select (select xact_commit + xact_rollback from pg_stat_database where datname = current_database())::int as statements,
          count(*)::int as connections, string_agg(pid::text, ' ') as pids
        from pg_stat_activity where application_name = 'aiserve-gpuproxy' and pid <> pg_backend_pid()`,
    )
    return row!
  }
  const ofRedis = async () => {
    const [stats, clients] = [await redis.admin.info('stats'), String(await redis.admin.call('CLIENT', 'LIST'))]
    const own = clients.split('\n').filter((line) => line.includes('name=aiserve-gpuproxy'))
    const bytes = own.map((line) => Number(/tot-mem=(\d+)/.exec(line)?.[1] ?? 0))
    return {
      commands: Number(/total_commands_processed:(\d+)/.exec(stats)?.[1]),
      connections: own.length,
      bytes: bytes.reduce((sum, each) => sum + each, 0),
    }
  }
  const measure = async (name: string, work: () => Promise<unknown>) => {
    progress.show(`${name} for ${seconds} s`)
    const [sql, keys] = [await ofPostgres(), await ofRedis()]
    await work()
    const [sqlAfter, keysAfter] = [await ofPostgres(), await ofRedis()]
    return {
      statementsPerSecond: (sqlAfter.statements - sql.statements) / seconds,
      commandsPerSecond: (keysAfter.commands - keys.commands) / seconds,
    }
  }
  await sleep(settleSeconds * 1000)
  const idle = await measure('idle', () => sleep(seconds * 1000))
  const chat = {
    name: 'chat',
    perSecond: busyPerSecond,
    method: 'POST',
    path: '/v1/chat/completions',
    body: chatRequest,
  } as const
  const busy = await measure(
    `${busyPerSecond} completions/s`,
    async () => (await startLoad(gateway.url, [chat], seconds)).done,
  )
  const { connections, pids: listed } = await ofPostgres()
  const pids = listed.split(' ').map(Number)
  const atRedis = await ofRedis()
  const second = await start('second')
  await sleep(settleSeconds * 1000)
  const two = await measure('two pods, idle', () => sleep(seconds * 1000))
  await second.stop()
  /** What all pods do in turns is done as often by one as by many. */
  const idleOf = (n: number, of: keyof typeof idle) => idle[of] + (n - 1) * (two[of] - idle[of])
  const backendMib = (await Promise.all(pids.map(ownMib))).reduce((sum, mib) => sum + mib, 0) / pids.length
  const unit = {
    idle,
    twoIdle: two,
    busy,
    postgresConnections: connections,
    redisConnections: atRedis.connections,
    backendMib,
    redisClientKib: atRedis.bytes / atRedis.connections / 1024,
  }

  progress.print(
    table(
      ['one pod', 'PostgreSQL transactions/s', 'Redis commands/s'],
      [
        ['idle', idle.statementsPerSecond.toFixed(1), idle.commandsPerSecond.toFixed(1)],
        ['two of them, idle', two.statementsPerSecond.toFixed(1), two.commandsPerSecond.toFixed(1)],
        [
          `${busyPerSecond} completions/s of one key`,
          busy.statementsPerSecond.toFixed(1),
          busy.commandsPerSecond.toFixed(1),
        ],
      ],
    ),
  )
  progress.print(
    `\n${connections} connections at PostgreSQL (DB_MAX_CONNS=${warm}), ${backendMib.toFixed(1)} MiB of their own each; ` +
      `${atRedis.connections} at Redis, ${unit.redisClientKib.toFixed(0)} KiB each\n`,
  )
  progress.print(
    table(
      [
        'pods',
        'PostgreSQL connections',
        'their memory',
        'transactions/s, idle',
        'Redis connections',
        'commands/s, idle',
      ],
      pods.map((n) => [
        String(n),
        String(n * connections),
        `${((n * connections * backendMib) / 1024).toFixed(1)} GiB`,
        idleOf(n, 'statementsPerSecond').toFixed(0),
        String(n * atRedis.connections),
        idleOf(n, 'commandsPerSecond').toFixed(0),
      ]),
    ),
  )
  await mkdir(join(resultsFile, '..'), { recursive: true })
  await writeFile(resultsFile, `${JSON.stringify(unit, null, 2)}\n`)
  progress.print(`\nwritten to ${resultsFile}`)
  await watcher.close({ timeoutS: 5 })
  await gateway.stop()
  await Promise.all([provider.stop(), redis.close(), postgres.close()])
}

/** Memory that the process does not share: https://man7.org/linux/man-pages/man5/proc_pid_smaps.5.html */
async function ownMib(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8')
  const kib = [...text.matchAll(/^Private_\w+:\s+(\d+) kB/gm)].reduce((sum, [, kb]) => sum + Number(kb), 0)
  return kib / 1024
}
