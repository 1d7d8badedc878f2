/** A real Prometheus that scrapes what it is told to, every second, in a folder of its own. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stringify } from 'yaml'
import { freePort } from './free-port.ts'
import { findTool } from './tools.ts'

export interface TestPrometheus {
  /** The series that answer a query. @throws Error with Prometheus' own words where it is none */
  query(promql: string): Promise<{ metric: Record<string, string>; value: [number, string] }[]>
  close(): Promise<void>
}

/** `token`: sent with each scrape. */
export async function startPrometheus(
  jobs: Record<string, readonly string[]>,
  { files = {}, token }: { files?: Record<string, string>; token?: string } = {},
): Promise<TestPrometheus> {
  const { path, env } = await findTool('prometheus')
  const folder = await mkdtemp(join(tmpdir(), 'prometheus-'))
  const port = await freePort()
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: Object.keys(files),
    scrape_configs: Object.entries(jobs).map(([job_name, targets]) => ({
      job_name,
      static_configs: [{ targets }],
      ...(token && { authorization: { credentials: token } }),
    })),
  }
  await writeFile(join(folder, 'prometheus.yml'), stringify(config))
  const args = [
    `--config.file=${join(folder, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ]
  const child = spawn(path, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (text) => {
    said = (said + text).slice(-4_000)
  })
  const url = `http://127.0.0.1:${port}`
  for (;;) {
    if (child.exitCode !== null) throw new Error(`prometheus ended: ${said}`)
    const ready = await fetch(`${url}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    )
    if (ready) break
    await sleep(50)
  }
  return {
    async query(promql) {
      const answer = await fetch(`${url}/api/v1/query?${new URLSearchParams({ query: promql })}`)
      const { status, error, data } = (await answer.json()) as {
        status: string
        error?: string
        data: { result: { metric: Record<string, string>; value: [number, string] }[] }
      }
      if (status !== 'success') throw new Error(`${promql}: ${error}`)
      return data.result
    },
    async close() {
      child.kill('SIGKILL')
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
