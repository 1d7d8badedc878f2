/** Traces as a collector gets them, from a real process with its database and Redis. */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readSse } from '../support/gateway.ts'
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from '../support/otlp-receiver.ts'
import { type GatewayProcess, newDataDir, processKey, removeDataDir, startGatewayProcess } from '../support/process.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'

const callerTrace = '0af7651916cd43dd8448eb211c80319c'
const callerSpan = 'b7ad6b7169203331'
const secret = 'a prompt that nobody else may read'

let provider: Server
const calls: IncomingHttpHeaders[] = []
let redis: TestRedis
let collector: OtlpReceiver
const dirs: string[] = []

/** Refuses the first call, and streams an answer to the others. */
beforeAll(async () => {
  provider = createServer((req, res) => {
    if (req.method === 'GET') return void res.end('{"object":"list","data":[]}')
    req.resume()
    calls.push(req.headers)
    if (calls.length === 1) return void res.writeHead(503).end('{"error":{"message":"busy"}}')
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    const chunk = (choice: object, more = {}) =>
      res.write(`data: ${JSON.stringify({ choices: [choice], ...more })}\n\n`)
    chunk({ index: 0, delta: { role: 'assistant', content: 'w1' } })
    chunk({ index: 0, delta: {}, finish_reason: 'stop' }, { usage: { prompt_tokens: 7, completion_tokens: 3 } })
    res.end('data: [DONE]\n\n')
  }).listen(0, '127.0.0.1')
  ;[redis, collector] = await Promise.all([startRedis(), startOtlpReceiver(), once(provider, 'listening')])
}, 60_000)
afterAll(async () => {
  for (const dir of dirs) removeDataDir(dir)
  provider.close()
  collector.close()
  await redis.close()
})

async function start(env: Record<string, string>): Promise<GatewayProcess> {
  const { port } = provider.address() as AddressInfo
  const pod = await startGatewayProcess({
    env: {
      ...{ REDIS_URL: redis.url, OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, HOSTNAME: 'pod-1' },
      ...{ OPENAI_BASE_URL: `http://127.0.0.1:${port}/v1`, OPENAI_API_KEY: 'sk-canary' },
      ...env,
    },
  })
  dirs.push(pod.dataDir)
  return pod
}

const chat = (pod: GatewayProcess, headers: Record<string, string> = {}) =>
  fetch(`${pod.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${processKey}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'gpt', stream: true, messages: [{ role: 'user', content: secret }] }),
  })

describe('one request that is streamed, tried again and not in a cache', () => {
  let spans: ReceivedSpan[]
  let output: string
  beforeAll(async () => {
    const pod = await start({})
    const answer = await chat(pod, {
      traceparent: `00-${callerTrace}-${callerSpan}-01`,
      tracestate: 'rojo=1, congo=2',
      'x-gpuproxy-cache': '300; sampled',
    })
    expect((await readSse(answer)).text).toBe('w1')
    await pod.end('SIGTERM')
    output = pod.output()
    spans = collector.spans.filter(({ traceId }) => traceId === callerTrace)
  }, 60_000)
  const named = (name: string) => spans.filter((span) => span.name === name)

  test('goes on with the caller’s trace, and every span hangs on it', () => {
    const [root] = named('POST /v1/chat/completions')
    expect(root).toMatchObject({ parentSpanId: callerSpan, kind: 2, status: 0 })
    expect(root!.attributes).toMatchObject({ 'http.response.status_code': 200, 'gpuproxy.cache': 'miss' })
    const ids = new Set(spans.map(({ spanId }) => spanId))
    for (const span of spans) {
      if (span !== root) expect(ids, span.name).toContain(span.parentSpanId)
      expect(span.startMs, span.name).toBeGreaterThanOrEqual(root!.startMs - 0.002)
      expect(span.endMs, span.name).toBeLessThanOrEqual(root!.endMs + 0.002)
    }
    expect(collector.resource).toMatchObject({ 'service.name': 'aiserve-gpuproxy', 'service.instance.id': 'pod-1' })
  })

  test('shows every try, with what it cost', () => {
    const [first, second, ...more] = named('chat gpt')
    expect(more).toEqual([])
    expect(first).toMatchObject({ kind: 3, status: 2, attributes: { 'error.type': 'server', 'gpuproxy.try': 1 } })
    expect(second).toMatchObject({ kind: 3, status: 0 })
    expect(second!.attributes).toMatchObject({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'gpt',
      'gen_ai.usage.input_tokens': 7,
      'gen_ai.usage.output_tokens': 3,
      'gpuproxy.reason': 'again after server',
    })
    expect(named('wait')).toHaveLength(1)
  })

  test('shows the caches, the queries and the leases on the way', () => {
    const key = named('cache get').find((span) => span.attributes['gpuproxy.cache'] === 'principals')
    expect(key!.attributes['gpuproxy.cache_result']).toBe('miss')
    const query = spans.find(({ parentSpanId, name }) => parentSpanId === key!.spanId && name.startsWith('postgres '))
    expect(query).toBeDefined()
    expect(named('cache find')[0]!.attributes).toMatchObject({ 'gpuproxy.cache_result': 'miss' })
    expect(named('redis read')).not.toEqual([])
    expect(named('redis lease')).not.toEqual([])
    expect(named('postgres lease credit')).not.toEqual([])
  })

  test('tells the provider of the try that calls it, and of the other vendors’ state', () => {
    const tries = named('chat gpt')
    expect(calls.slice(0, 2).map(({ traceparent }) => traceparent)).toEqual(
      tries.map(({ spanId }) => `00-${callerTrace}-${spanId}-01`),
    )
    expect(calls[0]!.tracestate).toBe('rojo=1,congo=2')
  })

  test('is found in the log by its id, and holds neither the prompt nor a key', () => {
    expect(output).toContain(`"trace_id":"${callerTrace}"`)
    const all = JSON.stringify(collector.spans)
    expect(all).not.toContain(secret)
    expect(all).not.toContain(processKey)
    expect(all).not.toContain('canary')
  })
})

test('of what is not sampled, only what failed is kept', async () => {
  const pod = await start({
    OTEL_TRACES_SAMPLER: 'traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0',
    RETRY_MAX_ATTEMPTS: '1',
  })
  await (await chat(pod)).text()
  calls.length = 0
  const failed = await chat(pod)
  expect(failed.status).toBe(503)
  await pod.end('SIGTERM')
  const roots = collector.spans.filter(
    ({ name, traceId }) => name === 'POST /v1/chat/completions' && traceId !== callerTrace,
  )
  expect(roots.map(({ attributes }) => attributes['gpuproxy.request_id'])).toEqual([failed.headers.get('x-request-id')])
}, 60_000)

test('a collector that is away costs nobody an answer, nor the pod its end', async () => {
  const pod = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' })
  expect((await readSse(await chat(pod))).text).toBe('w1')
  expect(await pod.end('SIGTERM')).toBe(0)
}, 60_000)

test('goes to the collector that a file names', async () => {
  const folder = newDataDir()
  dirs.push(folder)
  const path = join(folder, 'endpoint')
  writeFileSync(path, `${collector.endpoint}\n`)
  const pod = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: '',
    OTEL_EXPORTER_OTLP_ENDPOINT_FILE: path,
    HOSTNAME: 'pod-2',
  })
  await (await chat(pod)).text()
  await pod.end('SIGTERM')
  expect(collector.resource).toMatchObject({ 'service.instance.id': 'pod-2' })
}, 60_000)
