/** The sixteen faults with their waits cut down, through the gateway as a process. `npm run failover` has the full times. */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { profiles } from '../../bench/failover/profile.ts'
import { type Row, runScorecard } from '../../bench/failover/scorecard.ts'
import { newDataDir, processKey, removeDataDir, startGatewayProcess } from '../support/process.ts'

const dataDir = newDataDir()
let rows: Row[]

beforeAll(async () => {
  rows = await runScorecard({
    profile: profiles.fast,
    apiKey: processKey,
    routingFile: join(dataDir, 'routing.yaml'),
    async startGateway(env) {
      const gateway = await startGatewayProcess({ dataDir, env: { RATE_LIMIT_PER_MINUTE: '1000000', ...env } })
      return { url: gateway.url, stop: () => gateway.end('SIGTERM') }
    },
  })
}, 90_000)
afterAll(() => removeDataDir(dataDir))

test.each(Array.from({ length: 16 }, (_, i) => `S${String(i + 1).padStart(2, '0')}`))(
  '%s is survived: the whole answer or its own clean error, and no conduct to complain of',
  (id) => {
    const row = rows.find((each) => each.id === id)
    expect(row?.checks.filter(({ verdict }) => verdict !== 'pass')).toEqual([])
    expect(row?.verdict).toBe('pass')
  },
)
