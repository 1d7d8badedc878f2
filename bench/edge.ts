/**
 * `npm run bench:edge`: the worker in the real worker runtime before two gateways. What its start costs, the cache, one
 * gateway killed under load, and what a stream pays for the way through it.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { Agent, request } from 'undici'
import { startEdgeWorker } from '../tests/support/edge-worker.ts'
import { chatAnswer, streamEvents, streamRequest } from './answers.ts'
import { atLeast, atMost, type Bar, told } from './bars.ts'
import { loadAverage } from './proc.ts'
import { type Server, supervise } from './processes.ts'
import { createProgress } from './progress.ts'
import { table } from './rows.ts'
import { median } from './statistics.ts'
import { apiKey, startGateway } from './systems.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const resultsFile = fileURLToPath(new URL('results/edge.json', import.meta.url))
const bars = { startMs: 50, lostShare: 0.01, firstTokenMs: 5 }
const load = { perSecond: 50, seconds: 20, killAfterSeconds: 8 }
const { values } = parseArgs({ options: { streams: { type: 'string', default: '500' } } })
const streams = Number(values.streams)
const agent = new Agent({ connections: 64, pipelining: 1 })

const progress = createProgress()
const folder = await mkdtemp(join(tmpdir(), 'gpuproxy-edge-'))
const provider = await startProvider()
const found = await supervise(run, async () => {
  await provider.close()
  await rm(folder, { recursive: true, force: true })
})
process.exit(found.every(({ met }) => met) ? 0 : 1)

async function run(): Promise<Bar[]> {
  progress.show(`load average ${await loadAverage()}`)
  const all: Bar[] = [await startUp()]
  const gateways = [await startOne('first'), await startOne('second')] as const
  const edge = await startEdgeWorker({
    ORIGINS: gateways.map(({ url }) => url).join(','),
    EDGE_RATE_LIMIT_PER_MINUTE: '1000000',
  })
  try {
    all.push(...(await cached(edge.url)))
    all.push(...(await streamed(edge.url, gateways[0].url)))
    all.push(...(await killed(edge.url, gateways[0])))
  } finally {
    await edge.close()
  }
  await mkdir(join(resultsFile, '..'), { recursive: true })
  await writeFile(resultsFile, `${JSON.stringify({ bars: all }, null, 2)}\n`)
  const rows = all.map(({ name, want, got, met }) => [name, want, got, want === '' ? '' : met ? 'met' : 'MISSED'])
  progress.print(`\n${table(['what', 'want', 'got', ''], rows)}\n\nwritten to ${resultsFile}`)
  return all
}

function startOne(name: string) {
  const env = { TRUSTED_PROXY_HOPS: '1' }
  return startGateway({ folder: join(folder, name), openaiUrl: `${provider.url}/v1`, env })
}

/** Evaluating the bundle, as the runtime's own profiler sees it. */
async function startUp(): Promise<Bar> {
  progress.show('profiling the start of the worker')
  const file = join(folder, 'startup.cpuprofile')
  const wrangler = join(root, 'node_modules/wrangler/wrangler-dist/cli.js')
  await promisify(execFile)(process.execPath, [wrangler, 'check', 'startup', '--env', '', '--outfile', file], {
    cwd: root,
    env: { PATH: process.env.PATH, HOME: folder, CI: '1', WRANGLER_SEND_METRICS: 'false' },
  })
  const { nodes, samples, timeDeltas } = JSON.parse(await readFile(file, 'utf8')) as {
    nodes: { id: number; callFrame: { functionName: string } }[]
    samples: number[]
    timeDeltas: number[]
  }
  const idle = new Set(nodes.filter(({ callFrame }) => callFrame.functionName === '(idle)').map(({ id }) => id))
  const busyUs = samples.reduce((sum, id, i) => sum + (idle.has(id) ? 0 : (timeDeltas[i] ?? 0)), 0)
  return atMost('evaluation of the bundle', bars.startMs, busyUs / 1000, ' ms')
}

async function cached(url: string): Promise<Bar[]> {
  const uses: string[] = []
  for (let i = 0; i < 3; i++) {
    const { headers, body } = await request(`${url}/docs`, { dispatcher: agent })
    await body.dump()
    uses.push(`${headers['x-edge-cache']}${headers.age === undefined ? '' : ` age ${headers.age}`}`)
    await sleep(100)
  }
  return [
    {
      name: 'the same page three times',
      want: 'MISS, then HIT with its age',
      got: uses.join(', '),
      met: /^MISS, HIT age \d+, HIT age \d+$/.test(uses.join(', ')),
    },
  ]
}

/** In pairs, one through the edge and one direct, whose order is drawn. */
async function streamed(edge: string, direct: string): Promise<Bar[]> {
  const added: number[] = []
  let whole = 0
  for (let i = 0; i < streams; i++) {
    if (i % 50 === 0) progress.show(`streams: ${i} of ${streams} pairs`)
    const first = i % 2 === 0 ? edge : direct
    const one = await firstToken(first)
    const other = await firstToken(first === edge ? direct : edge)
    whole += Number(one.whole) + Number(other.whole)
    added.push(first === edge ? one.ms - other.ms : other.ms - one.ms)
  }
  return [
    atLeast(`of ${2 * streams} streams whole and the same`, 2 * streams, whole),
    atMost('first token, added at the median', bars.firstTokenMs, median(added), ' ms'),
  ]
}

async function firstToken(url: string): Promise<{ ms: number; whole: boolean }> {
  const startedAt = performance.now()
  const { body } = await request(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
    body: streamRequest,
    dispatcher: agent,
  })
  let ms = 0
  let all = ''
  for await (const chunk of body) {
    all += chunk
    if (ms === 0 && all.includes('" w1"')) ms = performance.now() - startedAt
  }
  return { ms, whole: all.endsWith('data: [DONE]\n\n') && all.includes('" w200"') }
}

/** At times fixed in advance, reads and completions in turn; each completion says which one it is. */
async function killed(url: string, gateway: Server): Promise<Bar[]> {
  const count = load.perSecond * load.seconds
  const outcomes = { GET: new Map<string, number>(), POST: new Map<string, number>() }
  const answered = new Set<number>()
  const startedAt = performance.now()
  const send = async (i: number) => {
    const method = i % 2 === 0 ? 'GET' : 'POST'
    const outcome = await request(method === 'GET' ? `${url}/docs?${i}` : `${url}/v1/chat/completions`, {
      method,
      dispatcher: agent,
      ...(method === 'POST' && {
        headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
        body: JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: `question ${i};` }] }),
      }),
    }).then(
      async ({ statusCode, body }) => {
        await body.dump()
        return String(statusCode)
      },
      (error: Error) => error.name,
    )
    if (outcome === '200') answered.add(i)
    outcomes[method].set(outcome, (outcomes[method].get(outcome) ?? 0) + 1)
  }
  const sent: Promise<void>[] = []
  let isKilled = false
  for (let i = 0; i < count; i++) {
    const due = startedAt + (i * 1000) / load.perSecond
    await sleep(Math.max(0, due - performance.now()))
    if (!isKilled && i >= load.killAfterSeconds * load.perSecond) {
      isKilled = true
      progress.show('one gateway is killed')
      process.kill(gateway.pid, 'SIGKILL')
    }
    sent.push(send(i))
  }
  await Promise.all(sent)
  const of = (method: 'GET' | 'POST') => [...outcomes[method]].map(([outcome, n]) => `${n} x ${outcome}`).join(', ')
  const lost = (method: 'GET' | 'POST') => count / 2 - (outcomes[method].get('200') ?? 0)
  const doubled = [...provider.asked.values()].filter((times) => times > 1).length
  const unasked = [...answered].filter((i) => i % 2 === 1 && !provider.asked.has(`question ${i};`)).length
  return [
    atMost(`reads that failed, of ${count / 2}`, 0, lost('GET')),
    atMost(`completions refused or cut, share of ${count / 2}`, bars.lostShare, lost('POST') / (count / 2)),
    atMost('completions that the provider was asked for twice', 0, doubled),
    atMost('answers that no provider gave', 0, unasked),
    told('reads; completions', `${of('GET')}; ${of('POST')}`),
  ]
}

/** Knows each question, and how often it was asked. */
async function startProvider() {
  const asked = new Map<string, number>()
  const server = createServer(async (incoming, answer) => {
    const body = await text(incoming)
    const question = /question \d+;/.exec(body)?.[0]
    if (question) asked.set(question, (asked.get(question) ?? 0) + 1)
    if (!body.includes('"stream":true')) {
      answer.writeHead(200, { 'content-type': 'application/json' }).end(chatAnswer)
      return
    }
    answer.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const event of streamEvents) answer.write(event)
    answer.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
