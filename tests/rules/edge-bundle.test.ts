/** What `wrangler deploy` would upload: small, portable, without a secret. */
import { execFile } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { edgeVariables } from '../../src/edge/config.ts'

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'gpuproxy-bundle-'))
const maxCompressed = 250_000

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.each(['', 'staging', 'production'])('the worker of the environment "%s"', (environment) => {
  let bundle: string
  let told: string

  beforeAll(async () => {
    const outdir = join(folder, environment || 'default')
    const wrangler = join(root, 'node_modules/wrangler/wrangler-dist/cli.js')
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      [wrangler, 'deploy', '--dry-run', '--outdir', outdir, '--env', environment],
      { cwd: root, env: { PATH: process.env.PATH, HOME: folder, CI: '1', WRANGLER_SEND_METRICS: 'false' } },
    )
    told = stdout + stderr
    bundle = globSync(join(outdir, '*.js'))
      .map((file) => readFileSync(file, 'utf8'))
      .join('')
  })

  test('is small', () => {
    const { length } = gzipSync(bundle)
    expect(length).toBeGreaterThan(10_000)
    expect(length).toBeLessThan(maxCompressed)
  })

  test.each(['ioredis', 'postgres.js', 'undici', 'prom-client', '@hono/node-server', 'node:'])(
    'holds nothing of %s',
    (name) => {
      expect(bundle).not.toContain(name)
    },
  )

  test('is given no secret in its file', () => {
    expect(told).toContain('ORIGINS')
    for (const [name, { secret }] of Object.entries(edgeVariables)) if (secret) expect(told).not.toContain(name)
  })
})
