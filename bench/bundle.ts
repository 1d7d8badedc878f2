/** The bundle that the image holds, as production starts it. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { runAdmin } from '../tests/support/admin-tool.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

export const bundleEntry = fileURLToPath(new URL('../dist/adapters/node/main.js', import.meta.url))

export async function buildBundle(): Promise<void> {
  await promisify(execFile)(process.execPath, ['build.ts'], { cwd: root })
}

/** As the manifests set it: how much of the pod's memory is the heap's, and who collects its garbage. */
export const podNodeOptions = await nodeOptions()

async function nodeOptions(): Promise<string> {
  const config: unknown = parse(await readFile(new URL('../manifests/base/config.yaml', import.meta.url), 'utf8'))
  const options = (config as { data: Record<string, string> }).data.NODE_OPTIONS
  if (options === undefined) throw new Error('manifests/base/config.yaml has no NODE_OPTIONS')
  return options
}

/** Beside where the database and the providers are. */
export const bundleEnv = {
  NODE_ENV: 'production',
  NODE_OPTIONS: podNodeOptions,
  HOST: '127.0.0.1',
  PORT: '0',
  JWT_SECRET: 'not-a-real-secret-but-long-enough-0001',
  RATE_LIMIT_PER_MINUTE: '100000000',
  DB_MAX_CONNS: '20',
  DB_MIN_CONNS: '8',
  DRAIN_DELAY: '0s',
}

/** Production makes no key by itself. `env` says where its database is. */
export async function makeKey(env: Record<string, string>): Promise<string> {
  const made = await runAdmin(env, 'create-admin', '--email', 'bench@example.com', '--api-key', '--json')
  if (made.code !== 0) throw new Error(`no administrator could be made: ${made.error}`)
  const { account, api_key: key } = made.json() as { account: string; api_key: string }
  const given = await runAdmin(env, 'credit', account, '999999', '--id', 'bench', '--json')
  if (given.code !== 0) throw new Error(`no credit could be given: ${given.error}`)
  return key
}
