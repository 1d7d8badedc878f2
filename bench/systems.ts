/** The systems that stand side by side, and how each is started. */
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../tests/support/free-port.ts'
import { startTestPostgres } from '../tests/support/postgres.ts'
import { findTool } from '../tests/support/tools.ts'
import { model } from './answers.ts'
import { canPin, listeningUrl, pin, runChild, type Server, startServer } from './processes.ts'

export type SystemName = 'gateway' | 'undici' | 'nginx' | 'portkey' | 'litellm' | 'node-http' | 'before'

export interface CapturedAnswer {
  status: number
  headers: Record<string, string>
  body: string
}

/** The servers under test share core 0, one busy at a time; everything else is on core 1. */
export const serverCore = 0
export const otherCore = 1
export const apiKey = 'ak_live_bench_0123456789abcdefghij'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const node = process.execPath

export const startFakeProvider = ({ tokenIntervalMs = 0 } = {}) =>
  startServer({
    name: 'fake provider',
    command: [node, here('fake-provider.ts')],
    env: { TOKEN_INTERVAL_MS: String(tokenIntervalMs) },
    core: otherCore,
    ready: listeningUrl,
  })

/** Everything on, the limit too high to be reached, its log in a file as in a pod. */
export async function startGateway(options: {
  folder: string
  /** Unset: the routing file in `env` names the providers. */
  openaiUrl?: string
  nodeFlags?: readonly string[]
  env?: Record<string, string>
  /** @default the sources */
  entry?: string
}): Promise<Server> {
  const { folder, openaiUrl, nodeFlags = [], env, entry = here('../adapters/node/main.ts') } = options
  await mkdir(folder, { recursive: true })
  const gateway = await startServer({
    name: 'the gateway',
    command: [node, ...nodeFlags, entry],
    env: {
      NODE_ENV: 'development',
      HOST: '127.0.0.1',
      PORT: '0',
      DATA_DIR: join(folder, 'data'),
      RATE_LIMIT_PER_MINUTE: '100000000',
      // Refused in production.
      ...(env?.NODE_ENV !== 'production' && { BOOTSTRAP_API_KEY: apiKey, BOOTSTRAP_CREDIT_USD: '999999' }),
      ...(openaiUrl && { OPENAI_BASE_URL: openaiUrl }),
      LOG_LEVEL: 'info',
      DRAIN_DELAY: '0s',
      ...env,
    },
    // With a PostgreSQL of its own on the other core, so that this stays there when the gateway moves to its own core.
    core: env?.DB_HOST === undefined ? otherCore : serverCore,
    logFile: join(folder, 'gateway.log'),
    ready: listeningUrl,
  })
  if (canPin) await pin(gateway.pid, serverCore)
  return gateway
}

export const startUndiciProxy = (upstream: string, { pipe = false, connections = 256 } = {}) =>
  startServer({
    name: 'the bare undici proxy',
    command: [node, here('baselines/undici-proxy.ts')],
    env: { UPSTREAM: upstream, PIPE: pipe ? '1' : '0', CONNECTIONS: String(connections) },
    core: serverCore,
    ready: listeningUrl,
  })

/** With a database and a market of its own. */
export async function startBefore(upstream: string): Promise<Server> {
  const postgres = await startTestPostgres()
  const market = await startServer({
    name: 'the market',
    command: [node, here('cache-market.ts')],
    env: { MARKET_MS: '0' },
    core: otherCore,
    ready: listeningUrl,
  })
  const server = await startServer({
    name: 'the gateway as it was before',
    command: [node, here('baselines/before.ts')],
    env: { UPSTREAM: upstream, MARKET: market.url, DATABASE: JSON.stringify(postgres.connection), API_KEY: apiKey },
    core: serverCore,
    ready: listeningUrl,
  })
  const stop = async () => {
    await server.stop()
    await market.stop()
    await postgres.close()
  }
  return { ...server, stop }
}

export const startNodeHttp = (answersFile: string) =>
  startServer({
    name: 'the bare node:http server',
    command: [node, here('baselines/node-http.ts')],
    env: { ANSWERS: answersFile },
    core: serverCore,
    ready: listeningUrl,
  })

/** One worker, connections kept on both sides, no log: proxying and nothing else. */
export async function startNginx(options: { folder: string; upstream: string }): Promise<Server> {
  const { folder, upstream } = options
  const tool = await findTool('nginx')
  const port = await freePort()
  await mkdir(folder, { recursive: true })
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${folder}/${kind};`,
  )
  const config = `
    daemon off; master_process off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log warn;
    events { worker_connections 1024; }
    http {
      access_log off; keepalive_requests 1000000000; tcp_nodelay on; ${temporary.join(' ')}
      upstream provider { server ${new URL(upstream).host}; keepalive 256; keepalive_requests 1000000000; }
      server {
        listen 127.0.0.1:${port};
        location / { proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
      }
    }`
  const file = join(folder, 'nginx.conf')
  await writeFile(file, config)
  return startServer({
    name: 'nginx',
    command: [tool.path, '-p', folder, '-e', join(folder, 'error.log'), '-c', file],
    env: tool.env,
    core: serverCore,
    ready: { url: `http://127.0.0.1:${port}/` },
  })
}

const peers = here('peers')
const portkeyEntry = join(peers, 'node_modules/@portkey-ai/gateway/build/start-server.js')

/** Installs the peers from their own lock file, on first use. */
export async function installPeers(progress: (text: string) => void): Promise<void> {
  if (existsSync(portkeyEntry)) return
  progress('installing the peer gateways (bench/peers, once) …')
  await runChild({
    command: ['npm', 'ci', '--prefix', peers, '--ignore-scripts', '--no-audit', '--no-fund'],
    env: npmEnvironment(),
    timeoutMs: 300_000,
  })
}

const python = join(peers, '.venv/bin/python')
const liteLlmReady = join(peers, '.venv/litellm')
/** It refuses to start without one. */
const liteLlmKey = 'sk-bench-0123456789abcdef0123456789abcdef'

/** Installs LiteLLM from its own list, on first use. Answers why that cannot be done here, where it cannot. */
export async function installLiteLlm(progress: (text: string) => void): Promise<string | undefined> {
  if (existsSync(liteLlmReady)) return undefined
  progress('installing LiteLLM (bench/peers/.venv, 750 MB, once) …')
  try {
    const list = join(peers, 'requirements.txt')
    await runChild({ command: ['python3', '-m', 'venv', '--clear', join(peers, '.venv')], timeoutMs: 60_000 })
    const command = [python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', list]
    await runChild({ command, env: pipEnvironment(), timeoutMs: 600_000 })
    await writeFile(liteLlmReady, '')
    return undefined
  } catch (error) {
    return String(error).split('\n')[0]!.slice(0, 300)
  }
}

/** Where packages are found. */
const pipEnvironment = () =>
  Object.fromEntries(
    Object.entries(process.env).filter(([name]) => /^(pip_|https?_proxy$|no_proxy$|ssl_cert)/i.test(name)),
  ) as Record<string, string>

/** One worker, its log off, its prices from its own files; whatever it would call elsewhere ends at a closed port. */
export async function startLiteLlm({ folder, upstream }: { folder: string; upstream: string }): Promise<Server> {
  const port = await freePort()
  await mkdir(folder, { recursive: true })
  const config = {
    model_list: [
      {
        model_name: model,
        litellm_params: { model: `openai/${model}`, api_base: `${upstream}/v1`, api_key: 'none' },
      },
    ],
    litellm_settings: { telemetry: false },
  }
  const file = join(folder, 'config.yaml')
  // JSON is YAML.
  await writeFile(file, JSON.stringify(config))
  return startServer({
    name: 'LiteLLM',
    command: [
      ...[python, join(peers, '.venv/bin/litellm'), '--config', file],
      ...['--host', '127.0.0.1', '--port', String(port), '--num_workers', '1'],
    ],
    env: {
      LITELLM_MASTER_KEY: liteLlmKey,
      LITELLM_LOCAL_MODEL_COST_MAP: 'True',
      LITELLM_LOG: 'ERROR',
      HTTPS_PROXY: 'http://127.0.0.1:9',
      HTTP_PROXY: 'http://127.0.0.1:9',
      NO_PROXY: '127.0.0.1',
    },
    core: serverCore,
    ready: { url: `http://127.0.0.1:${port}/health/liveliness` },
  })
}

/** What an npm started by an npm script must not inherit is left out; where the registry is found is kept. */
function npmEnvironment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name]) =>
    /^(npm_config_|https?_proxy$|no_proxy$|NODE_EXTRA_CA)/i.test(name),
  )
  const prefixless = kept.filter(([name]) => !/^npm_config_(local_)?prefix$/i.test(name))
  return Object.fromEntries(prefixless.map(([name, value]) => [name, value ?? '']))
}

export async function startPortkey(): Promise<Server> {
  const port = await freePort()
  return startServer({
    name: 'Portkey',
    command: [node, '--import', here('loopback-only.ts'), portkeyEntry, `--port=${port}`, '--headless'],
    env: { NODE_ENV: 'production', TRUSTED_CUSTOM_HOSTS: '127.0.0.1' },
    cwd: peers,
    core: serverCore,
    ready: { url: `http://127.0.0.1:${port}/` },
  })
}

/** What each system wants to hear beside the request itself. */
export function requestHeaders(system: SystemName, upstream: string): Record<string, string> {
  if (system === 'portkey') {
    return { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `${upstream}/v1`, authorization: 'Bearer none' }
  }
  if (system === 'litellm') return { authorization: `Bearer ${liteLlmKey}` }
  return system === 'gateway' || system === 'node-http' || system === 'before'
    ? { authorization: `Bearer ${apiKey}` }
    : { authorization: 'Bearer none' }
}
