/** The guide's curl, hey and PromQL lines, for real: against a gateway that this machine runs, and a real Prometheus. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { freePort } from '../../tests/support/free-port.ts'
import { type GatewayProcess, processKey, removeDataDir, startGatewayProcess } from '../../tests/support/process.ts'
import { findTool } from '../../tests/support/tools.ts'
import type { Checked } from './cluster.ts'
import { wordsOf } from './lines.ts'

export interface Live {
  /** curl and hey, with what may follow in a pipe. */
  shell(command: string): Promise<Checked>
  promql(query: string): Promise<Checked>
  close(): Promise<void>
}

const answerWithinMs = 45_000
const pollMs = 500
const shellTimeoutMs = 120_000
/** As kube-state-metrics v2 writes it. */
const kubeState = `# HELP kube_pod_info [STABLE] Information about pod.
# TYPE kube_pod_info gauge
${[0, 1, 2]
  .map(
    (i) =>
      `kube_pod_info{namespace="default",pod="aiserve-gpuproxy-7c9d8b6f5-x${i}abc",uid="0b7c1d52-0000-4000-8000-00000000000${i}",host_ip="10.0.10.${i}",pod_ip="10.244.0.${i}",node="10.0.10.${i}",created_by_kind="ReplicaSet",created_by_name="aiserve-gpuproxy-7c9d8b6f5",priority_class="aiserve-gpuproxy",host_network="false"} 1`,
  )
  .join('\n')}
`

export async function startLive(): Promise<Live> {
  const gateway = await startGatewayProcess({ env: { LOG_LEVEL: 'error', RATE_LIMIT_PER_MINUTE: '1000000' } })
  const pages = createServer((_, response) => response.setHeader('content-type', 'text/plain').end(kubeState))
  pages.listen(0, '127.0.0.1')
  await once(pages, 'listening')
  let prometheus: Awaited<ReturnType<typeof startPrometheus>> | undefined
  const toPrometheus = async () => {
    const { port } = pages.address() as AddressInfo
    prometheus ??= await startPrometheus([new URL(gateway.url).host, `127.0.0.1:${port}`])
    return prometheus
  }
  return {
    shell: (command) => runShell(command.replace(/https:\/\/aiserve\.farm/, gateway.url)),
    promql: async (query) => ask(await toPrometheus(), gateway, query),
    async close() {
      await prometheus?.close()
      await gateway.end('SIGINT')
      removeDataDir(gateway.dataDir)
      pages.close()
    },
  }
}

/** An error rate needs an error: a circuit that is held open refuses. */
async function failOnce({ url }: GatewayProcess): Promise<void> {
  const headers = { authorization: `Bearer ${processKey}`, 'content-type': 'application/json' }
  const hold = (state: string) =>
    fetch(`${url}/api/v1/admin/breakers/openai%3Aother`, { method: 'PUT', headers, body: JSON.stringify({ state }) })
  await hold('open')
  await chat(url)
  await hold('auto')
}

const chat = (url: string) =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${processKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'some-model', messages: [{ role: 'user', content: 'Hello' }], max_tokens: 3 }),
  }).then((response) => response.text())

async function runShell(command: string): Promise<Checked> {
  const [first = ''] = wordsOf(command)
  const tool = first === 'hey' ? await findTool('hey') : undefined
  const line = tool ? command.replace(/^hey /, `'${tool.path}' `) : command.replace(/^curl /, 'curl --fail --silent ')
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...tool?.env }, timeout: shellTimeoutMs, maxBuffer: 64 * 1024 * 1024 }
    execFile('bash', ['-o', 'pipefail', '-c', line], options, (error, stdout, stderr) => {
      const text = error ? `${stderr || error.message}`.trim() : stdout.trim()
      resolve(tool ? judgeHey(command, text, !error) : { how: 'run', ok: !error && text !== '', saw: summary(text) })
    })
  })
}

/** All of them answered 200, or it did not hold. */
function judgeHey(command: string, text: string, ran: boolean): Checked {
  const wanted = Number(/-n (\d+)/.exec(command)?.[1])
  const answered = Number(/\[200\]\s+(\d+) responses/.exec(text)?.[1] ?? 0)
  const perSecond = /Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]
  const p99 = /99%\S* in ([\d.]+) secs/.exec(text)?.[1]
  return {
    how: 'run',
    ok: ran && answered === wanted,
    saw: `${answered} of ${wanted} answered 200, ${Math.round(Number(perSecond))}/s, p99 ${Math.round(Number(p99) * 1000)} ms`,
  }
}

const summary = (text: string) => {
  const lines = text.split('\n')
  return lines.length === 1 ? text.slice(0, 100) : `${lines.length} lines, the first: ${lines[0]!.slice(0, 80)}`
}

async function startPrometheus(targets: string[]): Promise<{ url: string; close(): Promise<void> }> {
  const tool = await findTool('prometheus')
  const folder = await mkdtemp(join(tmpdir(), 'prometheus-'))
  const port = await freePort()
  const jobs = [{ job_name: 'guide', static_configs: [{ targets }] }]
  await writeFile(
    join(folder, 'prometheus.yml'),
    stringify({ global: { scrape_interval: '1s' }, scrape_configs: jobs }),
  )
  const args = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`]
  const child = spawn(tool.path, [...args, `--web.listen-address=127.0.0.1:${port}`], {
    env: { ...process.env, ...tool.env },
    stdio: 'ignore',
  })
  const exited = once(child, 'exit')
  return {
    url: `http://127.0.0.1:${port}`,
    async close() {
      child.kill('SIGKILL')
      await exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Until there is data: a rate needs two scrapes with something between them. */
async function ask({ url }: { url: string }, gateway: GatewayProcess, query: string): Promise<Checked> {
  const deadline = performance.now() + answerWithinMs
  let saw = 'nothing'
  while (performance.now() < deadline) {
    await chat(gateway.url)
    await failOnce(gateway)
    const response = await fetch(`${url}/api/v1/query?${new URLSearchParams({ query })}`).catch(() => undefined)
    const answer = (await response?.json()) as Answer | undefined
    if (answer?.status === 'error') return { how: 'run', ok: false, saw: answer.error ?? 'refused' }
    const values = (answer?.data?.result ?? []).map(({ value }) => Number(value[1])).filter((value) => value > 0)
    if (values.length > 0) return { how: 'run', ok: true, saw: `${values.length} series, up to ${Math.max(...values)}` }
    saw = answer ? 'no series above 0' : 'no answer'
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
  return { how: 'run', ok: false, saw }
}

interface Answer {
  status: string
  error?: string
  data?: { result: { value: [number, string] }[] }
}
