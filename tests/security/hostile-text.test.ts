/**
 * Hostile text in every field of a gateway that runs as a process, over a real database: each line of its log is still
 * one JSON object, no secret is in it, and every statement that the database saw is one of ours with its parameters.
 */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { routes } from '../../src/reference/routes.ts'
import { eventually } from '../support/gateway.ts'
import { databaseEnv, startTestPostgres, type TestPostgres } from '../support/postgres.ts'
import { type GatewayProcess, isAlive, processKey, removeDataDir, startGatewayProcess } from '../support/process.ts'
import { exchange } from '../support/raw-http.ts'

const canary = 'xqzcanary'
const hostile = [
  `'; drop table accounts; -- ${canary}`,
  `${canary}' or '1'='1`,
  `${canary}"); select pg_sleep(10); --`,
  `$1 ${canary} $$`,
  `\\'; ${canary}`,
  `${canary}\u0000`,
  `"}\n{"level":"error","msg":"forged ${canary}"}`,
  `${canary}\u2028\u2029\u001b[31m\r`,
  `\ud800${canary}`,
  `%s %n \${jndi:ldap://127.0.0.1/${canary}}`,
]

let database: TestPostgres
let gateway: GatewayProcess
let sql: postgres.Sql

beforeAll(async () => {
  database = await startTestPostgres()
  const { connection } = database
  sql = 'url' in connection ? postgres(connection.url, { max: 1 }) : postgres({ ...connection, max: 1 })
  gateway = await startGatewayProcess({
    env: { ...databaseEnv(database), LOG_LEVEL: 'debug', RATE_LIMIT_PER_MINUTE: '100000', TRUSTED_PROXY_HOPS: '1' },
  })
})
afterAll(async () => {
  // The last test has ended it, where it came to that.
  if (isAlive(gateway.pid)) await gateway.end('SIGTERM')
  removeDataDir(gateway.dataDir)
  await sql.end()
  await database.close()
})

/** The texts of statements that run or ran last, by connection: taken again and again, they are nearly all there is. */
async function statements(into: Set<string>) {
  for (const { query } of await sql`select query from pg_stat_activity where pid <> pg_backend_pid()`) into.add(query)
}

/** The body with the text in each of its strings in turn. */
function* withText(body: unknown, text: string): Generator<unknown> {
  if (typeof body === 'string') yield text
  else if (Array.isArray(body))
    for (const [i, one] of body.entries()) for (const put of withText(one, text)) yield body.with(i, put)
  else if (typeof body === 'object' && body !== null) {
    for (const [name, value] of Object.entries(body))
      for (const put of withText(value, text)) yield { ...body, [name]: put }
    yield { ...body, [text]: text }
  }
}

let sent = 0
async function send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  sent++
  const response = await fetch(gateway.url + path, {
    method,
    headers: {
      authorization: `Bearer ${processKey}`,
      'x-forwarded-for': `10.8.${(sent >> 8) & 255}.${sent & 255}`,
      'idempotency-key': `hostile-${sent}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, text }
}

const metrics = async () => (await fetch(`${gateway.url}/metrics`)).text()

test('no answer is a 5xx, and the tables are as they were', async () => {
  const before = await sql`select table_name from information_schema.tables where table_schema = 'public' order by 1`
  const seen = new Set<string>()
  const broken: object[] = []
  for (const route of routes) {
    if (route.name === 'watchLive' || 'none' in route.examples || route.body?.type) continue
    // Both would change what all that follows is asked with.
    if (['setMode', 'closeAccount'].includes(route.name)) continue
    const [example] = route.examples
    for (const text of hostile) {
      const encoded = encodeURIComponent(text.toWellFormed())
      const path = route.path.replace(/\{\w+\}/g, encoded)
      const queries = [...Object.keys(example.query ?? {}), 'cursor', 'sort', 'group_by', 'from', 'limit']
      const asked = route.body
        ? [...withText(example.body ?? {}, text)].map((body) => [path, body] as const)
        : [[path, undefined] as const]
      if (route.method === 'GET') for (const name of queries) asked.push([`${path}?${name}=${encoded}`, undefined])
      for (const [to, body] of asked) {
        const { status, text: answer } = await send(route.method, to, body)
        // What a provider or a market says of it is theirs to say.
        if (status >= 500 && status !== 503) broken.push({ route: route.name, status, to, body, answer })
        expect(answer).not.toMatch(/syntax error|PostgresError|invalid byte sequence|unterminated/i)
      }
    }
    await statements(seen)
  }
  expect(broken).toEqual([])
  const after = await sql`select table_name from information_schema.tables where table_schema = 'public' order by 1`
  expect(after).toEqual(before)
  expect([...seen].filter((query) => query.includes(canary))).toEqual([])
  // Not nothing was looked at.
  expect([...seen].filter((query) => query.includes('$1')).length).toBeGreaterThan(3)
  // Nor kept such a name the bill of its request, or of others, from being written.
  const told = await eventually(metrics, (text) => /^ledger_pending_events 0$/m.test(text))
  expect(told).toMatch(/^ledger_lost_events_total(\{[^}]*\})? 0$/m)
  expect(told).not.toMatch(/^ledger_lost_events_total(\{[^}]*\})? [1-9]/m)
}, 300_000)

test('what is kept of such a text is the text itself', async () => {
  const name = `'; drop table accounts; -- "`
  const made = await send('POST', '/api/v1/auth/apikeys', { name })
  expect(made.status).toBe(201)
  const { apikeys } = JSON.parse((await send('GET', '/api/v1/auth/apikeys')).text)
  expect(apikeys.some((key: { name: string }) => key.name === name)).toBe(true)
})

test('headers that are hostile, and bytes that are no request, leave one JSON object a line', async () => {
  for (const value of hostile) {
    const printable = Buffer.from(value.toWellFormed())
      .toString('latin1')
      .replace(/[\0\r\n]/g, ' ')
    for (const name of [
      'x-request-id',
      'user-agent',
      'traceparent',
      'tracestate',
      'x-forwarded-for',
      'referer',
      'cookie',
    ]) {
      await exchange(
        gateway.url,
        `GET /v1/models?api_key=${canary}-key HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${processKey}\r\n${name}: ${printable}\r\nconnection: close\r\n\r\n`,
      )
    }
    await exchange(gateway.url, `${printable}\r\n\r\n`)
  }
  await send('POST', '/v1/chat/completions', {
    model: 'gpt-4o-mini',
    messages: [{ role: 'user', content: `the prompt ${canary}-prompt` }],
  })
  await gateway.end('SIGTERM')
  const lines = gateway
    .output()
    .split('\n')
    .filter((line) => line !== '')
  expect(lines.length).toBeGreaterThan(100)
  for (const line of lines) {
    const parsed = JSON.parse(line)
    expect([typeof parsed.level, typeof parsed.msg]).toEqual(['string', 'string'])
    expect(parsed.msg).not.toContain('forged')
    expect(line).not.toContain('\u001b')
  }
  const all = lines.join('\n')
  expect(all).not.toMatch(new RegExp(`${canary}-(prompt|key)|${processKey}|Bearer `))
})

describe('the source', () => {
  const root = join(import.meta.dirname, '../..')
  const files = globSync('{src,adapters}/**/*.ts', { cwd: root }).filter((file) => !file.endsWith('.test.ts'))
  const read = (file: string) => readFileSync(join(root, file), 'utf8')

  test('has raw SQL where the days of receipts are made and dropped, and nowhere else', () => {
    const raw = files.filter((file) => /\.unsafe\(/.test(read(file)))
    expect(raw).toEqual(['adapters/node/postgres/upkeep.ts'])
    // A day comes from the calendar, and is checked to be one where it comes from the names of tables.
    expect(read(raw[0]!)).toMatch(/nameOf|\\d\{4\}/)
  })

  test('compares no secret with ===', () => {
    const comparing =
      /\b(?:apiKey|api_key|secret|password|signature|hash|digest|mac|pepper)\w*\s*[!=]==\s*(?!undefined|null|''|"")\w/i
    const found = files
      .filter((file) => !/adapters\/(sandbox|memory|console)/.test(file))
      .flatMap((file) =>
        read(file)
          .split('\n')
          .filter((line) => comparing.test(line))
          .map((line) => `${file}: ${line.trim()}`),
      )
    expect(found).toEqual([])
  })
})
