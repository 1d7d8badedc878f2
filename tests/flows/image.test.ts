/** No container engine is needed to know that the Dockerfile's own commands make something that runs. */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { databaseEnv, startTestPostgres } from '../support/postgres.ts'
import { removeDataDir, startGatewayProcess } from '../support/process.ts'

const root = join(import.meta.dirname, '../..')
const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8').replaceAll('\\\n', ' ')
const instructions = dockerfile.split('\n').flatMap((line) => {
  const found = /^([A-Z]+) (.*)$/.exec(line)
  return found ? [{ name: found[1]!, value: found[2]!.trim() }] : []
})
const build = mkdtempSync(join(tmpdir(), 'image-build-'))
const image = mkdtempSync(join(tmpdir(), 'image-'))
let database: Awaited<ReturnType<typeof startTestPostgres>>

/** Both stages: COPY and RUN as the engine would, but for paths that only exist in an image. */
beforeAll(async () => {
  database = await startTestPostgres()
  let stage = build
  for (const { name, value } of instructions) {
    if (name === 'FROM' && !value.includes(' AS ')) stage = image
    if (name === 'COPY') {
      const words = value.split(/\s+/).filter((word) => !word.startsWith('--from'))
      const from = value.startsWith('--from') ? build : root
      const to = words.pop()!
      for (const word of words) {
        const source = word.replace('/app/', '')
        cpSync(join(from, source), join(stage, to.endsWith('/') ? join(to, source.split('/').pop()!) : to), {
          recursive: true,
        })
      }
    }
    if (name === 'RUN' && stage === build) execFileSync('sh', ['-c', value], { cwd: build, stdio: 'pipe' })
  }
  mkdirSync(join(image, 'data'))
}, 240_000)
afterAll(async () => {
  await database.close()
  for (const dir of [build, image]) removeDataDir(dir)
})

const value = (name: string) => instructions.findLast((instruction) => instruction.name === name)?.value

test('the image runs without root, and checks itself', () => {
  expect(value('USER')).toMatch(/^[1-9]\d*$/)
  expect(value('HEALTHCHECK')).toContain('/livez')
  expect(dockerfile).not.toMatch(/:latest/)
})

test('what it holds is the bundle alone, and that serves', async () => {
  const [node, ...args] = JSON.parse(value('CMD')!) as string[]
  expect(node).toBe('node')
  const gateway = await startGatewayProcess({
    command: [process.execPath, ...args],
    cwd: image,
    env: {
      NODE_ENV: 'production',
      BOOTSTRAP_API_KEY: undefined,
      JWT_SECRET: 'not-a-real-secret-but-long-enough-0001',
      ...databaseEnv(database),
      DATA_DIR: join(image, 'data'),
    },
  })
  const health = await (await fetch(`${gateway.url}/health`)).json()
  expect(health).toMatchObject({
    status: 'ok',
    sandbox: [],
    checks: { database: { status: 'ok' }, openai: { status: 'not_configured' } },
  })
  const [check] = /\[.*\]/.exec(value('HEALTHCHECK')!)!
  const [, ...probe] = JSON.parse(check) as string[]
  execFileSync(process.execPath, probe, { env: { PORT: new URL(gateway.url).port } })
  expect(await gateway.end('SIGTERM')).toBe(0)
})

test("the operator's tool is a command of the image", () => {
  const [, path, command] = /ln -s (\S+) \/usr\/local\/bin\/(\S+)/.exec(dockerfile)!
  expect(command).toBe('aiserve-admin')
  const file = join(image, path!.replace('/app/', ''))
  expect(readFileSync(file, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/)
  const env = {
    PATH: process.env.PATH,
    NODE_ENV: 'production',
    JWT_SECRET: 'not-a-real-secret-but-long-enough-0001',
    ...databaseEnv(database),
  }
  const run = (...args: string[]) =>
    execFileSync(process.execPath, [file, ...args], { cwd: image, env, encoding: 'utf8' })
  expect(JSON.parse(run('--check-config', '--json'))).toMatchObject({ configuration: 'valid', node_env: 'production' })
  expect(JSON.parse(run('ledger', 'check', '--json')).rules).toHaveLength(8)
})
