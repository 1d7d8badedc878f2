/** Whether a request costs the same where a million keys are in the database and the memory tier is full. */
import { join } from 'node:path'
import postgres from 'postgres'
import { databaseEnv, startTestPostgres, type TestPostgres } from '../../tests/support/postgres.ts'
import { atLeast, atMost, told } from '../bars.ts'
import { cpuRatio } from '../cpu-ratio.ts'
import type { Server } from '../processes.ts'
import { apiKey, startFakeProvider, startGateway } from '../systems.ts'
import type { Section, SectionContext } from './section.ts'

const keys = { few: 10, many: 1_000_000 }
const keysPerAccount = 100
const bar = 1.1
const memoryMb = 100
const fullShare = 0.8
const searches = 4_000
const seconds = 4

export const manyKeys: Section = {
  name: 'keys',
  title: `${keys.many} keys and a full memory tier, beside ${keys.few} keys`,
  async run({ folder, progress, rounds }) {
    const provider = await startFakeProvider()
    const start = async (name: string, postgres: TestPostgres) => {
      const env = { ...databaseEnv(postgres), CACHE_LOCAL_SIZE_MB: String(memoryMb) }
      return startGateway({ folder: join(folder, name), openaiUrl: `${provider.url}/v1`, env })
    }
    const databases = [await startTestPostgres(), await startTestPostgres()] as const
    try {
      const few = await start('few-keys', databases[0])
      const many = await start('many-keys', databases[1])
      await addKeys(databases[0], keys.few)
      progress.show(`keys: writing ${keys.many} of them`)
      const written = await addKeys(databases[1], keys.many)
      const bytes = await fillMemory(many, progress)
      const { ratio } = await cpuRatio({
        baseline: [`${keys.few} keys`, few],
        tested: [`${keys.many} keys, memory full`, many],
        ...{ rounds, seconds, progress },
      })
      for (const server of [few, many, provider]) await server.stop()
      return [
        atLeast('keys in the database', keys.many, written),
        atLeast(`of ${memoryMb} MB of memory in use, share`, fullShare, bytes / (memoryMb * 1024 * 1024)),
        atMost('CPU of a small completion against few keys', bar, ratio.median, 'x'),
        told('from round to round', `${ratio.min.toFixed(3)}–${ratio.max.toFixed(3)}`),
      ]
    } finally {
      for (const database of databases) await database.close()
    }
  },
}

/** Rows as the gateway writes them, of keys that nobody knows. */
async function addKeys({ connection }: TestPostgres, count: number): Promise<number> {
  const options = { max: 1, onnotice: () => {} }
  const sql = 'url' in connection ? postgres(connection.url, options) : postgres({ ...connection, ...options })
  try {
    await sql`
      insert into accounts (account_id, name, role)
      select ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'bench', 'user'
      from generate_series(0, ${Math.ceil(count / keysPerAccount) - 1}::integer) n`
    await sql`
      insert into api_keys (account_id, key_id, key_hash, prefix, name, scopes)
      select ('00000000-0000-4000-8000-' || lpad(to_hex(n / ${keysPerAccount}::integer), 12, '0'))::uuid,
        ('00000000-0000-4000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, sha256(n::text::bytea), 'benc', 'bench', '{inference}'
      from generate_series(0, ${count - 1}::integer) n`
    await sql`
      insert into api_key_lookup (key_hash, account_id, key_id)
      select key_hash, account_id, key_id from api_keys where name = 'bench'`
    await sql`analyze`
    const [row] = await sql<[{ count: number }]>`select count(*)::integer as count from api_key_lookup`
    return row.count
  } finally {
    await sql.end()
  }
}

/** With the answers of searches that nobody made before. */
async function fillMemory({ url }: Server, progress: SectionContext['progress']): Promise<number> {
  const headers = { authorization: `Bearer ${apiKey}` }
  for (let i = 0; i < searches; i++) {
    const answer = await fetch(`${url}/api/v1/gpu/offers?limit=200&max_price=${1_000 + i / 100}`, { headers })
    await answer.arrayBuffer()
    if (answer.status !== 200) throw new Error(`a search was answered with ${answer.status}`)
    if (i % 500 === 0) progress.show(`keys: filling the memory tier, ${i} of ${searches} searches`)
  }
  const page = await (await fetch(`${url}/metrics`)).text()
  return [...page.matchAll(/^cache_bytes\{[^}]*\} (\S+)$/gm)].reduce((sum, [, value]) => sum + Number(value), 0)
}
