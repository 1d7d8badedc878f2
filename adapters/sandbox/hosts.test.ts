import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { eventually } from '../../tests/support/gateway.ts'
import { type Sandbox, startSandbox } from './sandbox.ts'

type Json = ReturnType<typeof JSON.parse>

let clock: FakeClock
let sandbox: Sandbox
let vast: NonNullable<Sandbox['vastai']>
let offers: { id: number }[]

beforeEach(async () => {
  clock = new FakeClock()
  const market = { paced: false }
  sandbox = await startSandbox({
    clock,
    random: Math.random,
    servers: ['vastai', 'ionet'],
    wordIntervalMs: 0,
    market,
  })
  vast = sandbox.vastai!
  offers = (await ask('POST', '/api/v0/bundles/', {})).offers
})
afterEach(() => sandbox.close())

async function ask(method: string, path: string, body?: unknown): Promise<Json> {
  const response = await fetch(vast.baseUrl + path, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  return response.json()
}

const show = async (id: string): Promise<Json> => (await ask('GET', `/api/v0/instances/${id}/`)).instances

async function rent(own: object = {}): Promise<string> {
  const order = { image: 'vllm/vllm-openai', disk: 20, env: { '-p 8000:8000': '1' }, ...own }
  const { new_contract: id } = await ask('PUT', `/api/v0/asks/${offers.shift()!.id}/`, order)
  return String(id)
}

/** One that runs, and where its port is published. */
async function running(own: object = {}): Promise<{ id: string; url: string }> {
  const id = await rent(own)
  clock.tick(2_500)
  let found: Json
  await eventually(async () => {
    found = await show(id)
    return found.ports !== null
  })
  const [port] = Object.keys(found.ports)
  return { id, url: `http://${found.public_ipaddr}:${found.ports[port!][0].HostPort}` }
}

const post = (url: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
const chat = { messages: [{ role: 'user', content: 'hi' }], max_tokens: 3 }

describe('a machine that runs', () => {
  it.each<[string, object]>([
    ['--model', { args: ['--model', 'mine', '--port', '8000'] }],
    ['--served-model-name', { args: ['--model', 'org/long', '--served-model-name=mine'] }],
    ['the first argument', { args: ['serve', 'mine'] }],
    ['a line of arguments', { args_str: '--model "mine"' }],
    ['MODEL', { env: { MODEL: 'mine', '-p 8000:8000': '1' } }],
  ])('serves the model that %s names, and no other', async (_what, own) => {
    const { url } = await running(own)
    expect(await (await fetch(`${url}/v1/models`)).json()).toMatchObject({ object: 'list', data: [{ id: 'mine' }] })
    const answer = (await (await post(`${url}/v1/chat/completions`, { ...chat, model: 'mine' })).json()) as Json
    expect(answer).toMatchObject({ model: 'mine', usage: { completion_tokens: 3 } })
    const other = await post(`${url}/v1/chat/completions`, { ...chat, model: 'other' })
    expect([other.status, ((await other.json()) as Json).error.type]).toEqual([404, 'NotFoundError'])
  })

  it('streams, completes and embeds', async () => {
    const { url } = await running({ args: ['--model', 'mine'] })
    const stream = await post(`${url}/v1/chat/completions`, { ...chat, model: 'mine', stream: true })
    expect(stream.headers.get('content-type')).toContain('text/event-stream')
    expect(await stream.text()).toMatch(/data: \[DONE\]\n\n$/)
    expect((await post(`${url}/v1/completions`, { model: 'mine', prompt: 'hi' })).status).toBe(200)
    expect((await post(`${url}/v1/embeddings`, { model: 'mine', input: 'hi' })).status).toBe(200)
    expect((await fetch(`${url}/health`)).status).toBe(200)
    expect((await fetch(`${url}/nothing`)).status).toBe(404)
  })

  it('asks for the key that it was started with', async () => {
    const { url } = await running({ args: ['--model', 'mine', '--api-key', 'sesame'] })
    expect((await fetch(`${url}/health`)).status).toBe(200)
    expect((await fetch(`${url}/v1/models`)).status).toBe(401)
    expect((await fetch(`${url}/v1/models`, { headers: { authorization: 'Bearer sesame' } })).status).toBe(200)
    expect((await post(`${url}/v1/completions`, { model: 'mine', prompt: 'hi' })).status).toBe(401)
  })

  it('echoes a call, byte for byte of its path, and tells which port it came to', async () => {
    const { url } = await running({ env: '-p 8000:8000 -p 9000:9000' })
    const echoed = await post(`${url}/echo/a%2fb?c=%20d`, { e: 1 }, { 'x-f': 'g' })
    expect(await echoed.json()).toMatchObject({
      method: 'POST',
      path: '/echo/a%2fb?c=%20d',
      headers: { 'x-f': 'g' },
      body: { e: 1 },
      port: 8000,
    })
  })

  it('drips events at /slow', async () => {
    const { url } = await running()
    const response = await fetch(`${url}/slow?chunks=2&ms=50`)
    const text = response.text()
    await clock.advance(50)
    await eventually(async () => {
      await clock.advance(50)
      return clock.pendingTimers === 0
    })
    expect(await text).toBe('data: 0\n\ndata: 1\n\n')
  })

  it('echoes WebSocket messages, and drops them with the machine', async () => {
    const { id, url } = await running()
    const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`)
    await new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }))
    const echoed = new Promise((resolve) =>
      socket.addEventListener('message', ({ data }) => resolve(data), { once: true }),
    )
    socket.send('hello')
    expect(await echoed).toBe('hello')
    expect(vast.host(id)?.calls.map((each) => each.path)).toEqual(['/ws'])
    const closed = new Promise((resolve) => socket.addEventListener('close', resolve, { once: true }))
    vast.loseHost(id)
    await closed
  })

  it('has WebSockets at no other path', async () => {
    const { url } = await running()
    const socket = new WebSocket(`${url.replace('http', 'ws')}/echo`)
    await new Promise((resolve) => socket.addEventListener('error', resolve, { once: true }))
    expect((await fetch(`${url}/health`)).status).toBe(200)
  })

  it('can be given faults of its own', async () => {
    const { id, url } = await running({ args: ['--model', 'mine'] })
    vast.host(id)!.setFaults([{ kind: 'status', status: 503 }])
    expect((await fetch(`${url}/v1/models`)).status).toBe(503)
  })
})

describe('a machine that does not run', () => {
  it('answers nothing before it runs', async () => {
    const id = await rent()
    await eventually(() => vast.host(id) !== undefined)
    await expect(fetch(`${vast.host(id)!.baseUrl}/health`)).rejects.toThrow()
    clock.tick(2_500)
    expect((await fetch(`${vast.host(id)!.baseUrl}/health`)).status).toBe(200)
  })

  it.each<[string, (id: string) => unknown]>([
    ['it was stopped', (id) => ask('PUT', `/api/v0/instances/${id}/`, { state: 'stopped' })],
    ['it was destroyed', (id) => ask('DELETE', `/api/v0/instances/${id}/`)],
    ['its host was lost', (id) => vast.loseHost(id)],
    ['it was outbid', (id) => vast.outbid(id)],
  ])('refuses connections once %s', async (_what, end) => {
    const { id, url } = await running()
    expect((await fetch(`${url}/health`)).status).toBe(200)
    await end(id)
    await expect(fetch(`${url}/health`)).rejects.toThrow()
  })

  it('is reached again when it was started again', async () => {
    const { id } = await running()
    await ask('PUT', `/api/v0/instances/${id}/`, { state: 'stopped' })
    await ask('PUT', `/api/v0/instances/${id}/`, { state: 'running' })
    clock.tick(1_500)
    await eventually(() => vast.host(id) !== undefined)
    expect((await fetch(`${vast.host(id)!.baseUrl}/health`)).status).toBe(200)
  })
})

it('has at most 64 ports listening: what comes later is not published', async () => {
  const ids = await Promise.all(Array.from({ length: 65 }, () => rent()))
  clock.tick(2_500)
  await eventually(() => ids.filter((id) => vast.host(id)).length === 64)
  const unpublished = ids.find((id) => !vast.host(id))!
  expect(await show(unpublished)).toMatchObject({ actual_status: 'running', ports: null })
  await ask('DELETE', `/api/v0/instances/${ids.find((id) => vast.host(id))}/`)
  await eventually(async () => {
    if (vast.host(unpublished)) return true
    for (const state of ['stopped', 'running']) await ask('PUT', `/api/v0/instances/${unpublished}/`, { state })
    return false
  })
})

it("a deployment's public URL leads to its container", async () => {
  const { ionet } = sandbox
  const root = `${ionet!.baseUrl}/enterprise/v1/io-cloud/caas`
  const made = await post(`${root}/deploy`, {
    resource_private_name: 'mine',
    duration_hours: 1,
    gpus_per_container: 1,
    hardware_id: 158,
    location_ids: [17],
    container_config: { replica_count: 1, traffic_port: 8000, args: ['--model', 'mine'] },
    registry_config: { image_url: 'vllm/vllm-openai' },
  })
  const { deployment_id: id } = (await made.json()) as Json
  clock.tick(2_500)
  let url = ''
  await eventually(async () => {
    const { data } = (await (await fetch(`${root}/deployment/${id}/containers`)).json()) as Json
    url = data.workers[0].public_url
    return url !== ''
  })
  expect(await (await fetch(`${url}/v1/models`)).json()).toMatchObject({ data: [{ id: 'mine' }] })
  clock.tick(3_600_000)
  await expect(fetch(`${url}/health`, { headers: { connection: 'close' } })).rejects.toThrow()
})
