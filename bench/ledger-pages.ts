/** `npm run bench:pages`: a page of a long ledger beside the same page of a short one, interleaved on a real PostgreSQL. */
import { randomUUID } from 'node:crypto'
import { parseArgs } from 'node:util'
import { connectCluster } from '../adapters/node/postgres/connect-cluster.ts'
import { migrate } from '../adapters/node/postgres/migrations.ts'
import { createStatements } from '../adapters/node/postgres/statements.ts'
import type { Position } from '../src/domain/statement.ts'
import { systemClock as clock } from '../src/resilience/clock.ts'
import { fillLedger, positionOf } from '../tests/support/long-ledger.ts'
import { startTestPostgres } from '../tests/support/postgres.ts'
import { table } from './rows.ts'
import { median, roundRatios, spread } from './statistics.ts'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '300' } } })
const rounds = Number(values.rounds)
if (!(rounds >= 1)) throw new Error(`--rounds must be a number from 1, got ${values.rounds}`)
const [short, long] = [1_000, 1_000_000]
const limit = 50
const mostRatio = 2

const server = await startTestPostgres()
const cluster = await connectCluster({
  ...server.connection,
  clock,
  max: 8,
  min: 1,
  statementTimeoutMs: 120_000,
  transactionTimeoutMs: 130_000,
})
try {
  await run()
} finally {
  await cluster.close({ timeoutS: 1 })
  await server.close()
}

async function run() {
  const { general } = cluster.pools
  await migrate({ database: general, log: { info() {}, warn() {} } })
  const accounts = { [short]: randomUUID(), [long]: randomUUID() }
  for (const length of [short, long]) await fillLedger(general, accounts[length]!, length)
  await general.query('analyze', undefined, (sql) => sql`analyze ledger_entries`)
  const statements = createStatements({ cluster })

  const timed = async (length: number, from: Position | undefined) => {
    const startedAt = performance.now()
    const page = await statements.transactions(accounts[length]!, { limit: limit + 1, from })
    const ms = performance.now() - startedAt
    if (page.length !== limit + 1) throw new Error(`a page of ${page.length} entries`)
    return ms
  }
  const pages = {
    first: () => undefined,
    middle: (length: number) => positionOf(length / 2),
    last: () => positionOf(limit + 1),
  }
  const rows = []
  for (const [name, from] of Object.entries(pages)) {
    const times: Record<number, number[]> = { [short]: [], [long]: [] }
    for (let round = -20; round < rounds; round++) {
      // Who goes first changes: the second one finds a warmer machine.
      for (const length of round % 2 ? [short, long] : [long, short]) {
        const ms = await timed(length, from(length))
        // The first ones prepare the statement.
        if (round >= 0) times[length]!.push(ms)
      }
    }
    const [ofShort, ofLong] = [median(times[short]!), median(times[long]!)]
    rows.push({
      name,
      ofShort,
      ofLong,
      ratio: ofLong / ofShort,
      ratios: spread(roundRatios(times[long]!, times[short]!)),
    })
  }
  const cells = rows.map(({ name, ofShort, ofLong, ratio, ratios }) => [
    name,
    ofShort.toFixed(3),
    ofLong.toFixed(3),
    ratio.toFixed(2),
    ratios.median.toFixed(2),
  ])
  console.log(`a page of ${limit} entries, ${rounds} rounds side by side\n`)
  console.log(table(['page', 'of 1,000: ms', 'of 1,000,000: ms', 'ratio of medians', 'median of ratios'], cells))
  const met = rows.every(({ ratio }) => ratio <= mostRatio)
  console.log(`\nat most ${mostRatio} times the time: ${met ? 'met' : 'missed'}`)
  if (!met) process.exitCode = 1
}
