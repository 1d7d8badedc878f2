/**
 * `npm run edge`: the worker in the real worker runtime of this machine. PORT (8787) and HOST (127.0.0.1) say where it
 * listens; ORIGINS, JWT_SECRET and the others of docs/edge.md are taken from the environment.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { devNull, tmpdir } from 'node:os'
import { join } from 'node:path'
import { edgeVariables, loadEdgeConfig } from './src/edge/config.ts'

const { HOST = '127.0.0.1', PORT = '8787', PATH = '', HOME = '' } = process.env
try {
  loadEdgeConfig(process.env)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  process.exit(1)
}

// Neither arguments, which every user of the machine can read, nor a file, in whose values a dollar and quotes mean something.
const given = Object.keys(edgeVariables).flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : []))
const folder = mkdtempSync(join(tmpdir(), 'gpuproxy-edge-'))

const wrangler = join(import.meta.dirname, 'node_modules/wrangler/wrangler-dist/cli.js')
const dev = [
  'dev',
  '--local',
  '--ip',
  HOST,
  '--port',
  PORT,
  '--env',
  '',
  '--env-file',
  devNull,
  '--show-interactive-dev-session=false',
]
const child = spawn(process.execPath, [wrangler, ...dev, '--persist-to', join(folder, 'state')], {
  cwd: import.meta.dirname,
  stdio: ['ignore', 'inherit', 'inherit'],
  env: {
    ...Object.fromEntries(given),
    CLOUDFLARE_INCLUDE_PROCESS_ENV: 'true',
    PATH,
    HOME,
    CI: '1',
    WRANGLER_SEND_METRICS: 'false',
    WRANGLER_SEND_ERROR_REPORTS: 'false',
    WRANGLER_HIDE_BANNER: 'true',
    WRANGLER_WRITE_LOGS: 'false',
    CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  },
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill('SIGTERM'))
child.on('exit', (code) => {
  rmSync(folder, { recursive: true, force: true })
  process.exit(code ?? 0)
})
