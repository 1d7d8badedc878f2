import { once } from 'node:events'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { eventually, readSse, words } from '../support/gateway.ts'
import {
  type GatewayProcess,
  isAlive,
  newDataDir,
  processKey,
  removeDataDir,
  spawnGateway,
  startGatewayProcess,
} from '../support/process.ts'

const dirs: string[] = []
const start = async (...args: Parameters<typeof startGatewayProcess>) => {
  const gateway = await startGatewayProcess(...args)
  dirs.push(gateway.dataDir)
  return gateway
}
afterAll(() => dirs.forEach(removeDataDir))

const headers = { authorization: `Bearer ${processKey}`, 'content-type': 'application/json' }
const ask = (gateway: GatewayProcess, extra: object = {}) =>
  fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ model: 'gpt-4o', messages: [{ role: 'user', content: 'hi' }], max_tokens: 5, ...extra }),
  })
const postgresPid = (dataDir: string) =>
  Number(readFileSync(join(dataDir, 'postgres/postmaster.pid'), 'utf8').split('\n')[0])

test('npm start answers with its key; SIGTERM ends it with 0 and leaves no process behind', async () => {
  const gateway = await start({ command: ['npm', 'start', '--silent'] })
  expect(await (await ask(gateway)).json()).toMatchObject({ choices: [{ message: { content: words(5) } }] })
  const database = postgresPid(gateway.dataDir)
  expect(isAlive(database)).toBe(true)
  expect(await gateway.end('SIGTERM')).toBe(0)
  await eventually(() => !isAlive(gateway.pid) && !isAlive(database))
})

test('Ctrl-C skips the delay', async () => {
  const gateway = await start({ env: { DRAIN_DELAY: '1h' } })
  expect(await gateway.end('SIGINT')).toBe(0)
})

test('a hang-up without a routing file, and one more behind it, end it in order', async () => {
  const gateway = await start({ env: { DRAIN_DELAY: '1s' } })
  process.kill(gateway.pid, 'SIGHUP')
  await eventually(async () => (await fetch(`${gateway.url}/readyz`)).status === 503)
  expect(await gateway.end('SIGHUP')).toBe(0)
})

test('a second signal ends it at once, and the database goes too', async () => {
  const gateway = await start({ env: { DRAIN_DELAY: '1h' } })
  const database = postgresPid(gateway.dataDir)
  process.kill(gateway.pid, 'SIGTERM')
  await eventually(async () => (await fetch(`${gateway.url}/readyz`)).status === 503)
  expect(await gateway.end('SIGTERM')).toBe(130)
  await eventually(() => !isAlive(database))
})

test('what is stored survives a restart, and kill -9', async () => {
  const env = { API_KEY_PEPPER: undefined }
  const first = await start({ env })
  const database = postgresPid(first.dataDir)
  await first.end('SIGKILL')
  await eventually(() => !isAlive(database))
  // The same key is known by the pepper that the first process stored, without being given again.
  const second = await start({ dataDir: first.dataDir, env: { ...env, BOOTSTRAP_API_KEY: undefined } })
  expect((await ask(second)).status).toBe(200)
  await second.end('SIGTERM')
})

describe('a drain', () => {
  test('tells load balancers, still takes requests, and lets a stream end whole', async () => {
    const gateway = await start({ env: { DRAIN_DELAY: '1s' } })
    const streaming = await ask(gateway, { stream: true, max_tokens: 100 })
    process.kill(gateway.pid, 'SIGTERM')
    await eventually(async () => (await fetch(`${gateway.url}/readyz`)).status === 503)
    expect((await fetch(`${gateway.url}/livez`)).status).toBe(200)
    const late = await ask(gateway)
    expect(late.status).toBe(200)
    expect(late.headers.get('connection')).toBe('close')
    expect(await readSse(streaming)).toMatchObject({ text: words(100), done: true })
    const [code] = await once(gateway.child, 'exit')
    expect(code).toBe(0)
  })

  test('that takes too long ends streams with a word, not with a cut', async () => {
    const gateway = await start({ env: { DRAIN_TIMEOUT: '100ms' } })
    const streaming = await ask(gateway, { stream: true, max_tokens: 100_000 })
    const read = readSse(streaming)
    expect(await gateway.end('SIGTERM')).toBe(0)
    const answer = await read
    expect(answer.done).toBe(false)
    expect(answer.error).toMatchObject({ code: 'stream_interrupted', message: expect.stringContaining('stopping') })
  })
})

describe('a start that must not happen', () => {
  const file = (content: string) => {
    const folder = mkdtempSync(join(tmpdir(), 'config-'))
    dirs.push(folder)
    const path = join(folder, 'value')
    writeFileSync(path, content)
    return path
  }
  const production = { NODE_ENV: 'production', BOOTSTRAP_API_KEY: undefined }
  const secret = 'x'.repeat(40)
  test.each([
    ['a bad value', { PORT: 'eighty' }, /^PORT=eighty is not allowed: it must be an integer from 0 to 65535$/m],
    ['a bad value in a file', { PORT: undefined, PORT_FILE: file('eighty\n') }, /^PORT=eighty is not allowed/m],
    ['an unreadable file', { JWT_SECRET_FILE: '/nonexistent' }, /^JWT_SECRET_FILE=\/nonexistent cannot be read$/m],
    [
      'a short secret, which is not shown',
      { JWT_SECRET: 'short' },
      /^JWT_SECRET=\(5 characters, not shown\) is not allowed/m,
    ],
    ['production without a database', { ...production, JWT_SECRET: secret }, /^DATABASE_URL or DB_HOST must be set/m],
    ['production without a secret', { ...production, DB_HOST: 'db' }, /^JWT_SECRET must be set/m],
    [
      'production with a bootstrap key',
      { ...production, DB_HOST: 'db', JWT_SECRET: secret, BOOTSTRAP_API_KEY: processKey },
      /^BOOTSTRAP_API_KEY must not be set/m,
    ],
  ])('%s: exit 1 and one line that says so', async (_what, env, says) => {
    const { exited, output, dataDir } = spawnGateway({ env })
    dirs.push(dataDir)
    expect(await exited).toBe(1)
    expect(output()).toMatch(says)
    expect(output().trim().split('\n')).toHaveLength(1)
  })

  test('a port in use: exit 1, and no database left behind', async () => {
    const first = await start()
    const dataDir = newDataDir()
    const { exited, output } = spawnGateway({ dataDir, env: { PORT: new URL(first.url).port } })
    dirs.push(dataDir)
    expect(await exited).toBe(1)
    expect(output()).toMatch(/PORT=\d+ is in use/)
    await first.end('SIGTERM')
  })

  test('a database that is not there: exit 1 and the reason, without a secret', async () => {
    const url = 'postgres://someone:canary-password@127.0.0.1:1/none'
    const { exited, output, dataDir } = spawnGateway({ env: { DATABASE_URL: url } })
    dirs.push(dataDir)
    expect(await exited).toBe(1)
    expect(output()).toMatch(/database/i)
    expect(output()).not.toContain('canary')
  })
})
