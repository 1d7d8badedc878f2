import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { type Fault, type Sandbox, startSandbox } from './sandbox.ts'

type Json = ReturnType<typeof JSON.parse>

let clock: FakeClock
let sandbox: Sandbox
let vast: NonNullable<Sandbox['vastai']>

beforeEach(async () => {
  clock = new FakeClock()
  sandbox = await startSandbox({ clock, random: Math.random, servers: ['vastai'], hosts: false })
  vast = sandbox.vastai!
})
afterEach(() => sandbox.close())

async function call(method: string, path: string, body?: unknown) {
  const response = await fetch(vast.baseUrl + path, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.startsWith('application/json')
  return { status: response.status, headers: response.headers, text, json: (isJson ? JSON.parse(text) : {}) as Json }
}

const order = { image: 'vllm/vllm-openai', disk: 20, label: 'mine', env: { MODEL: 'm', '-p 8000:8000': '1' } }
const put = (offer: number, body: object = order) => call('PUT', `/api/v0/asks/${offer}/`, body)
const show = async (id: number): Promise<Json> => (await call('GET', `/api/v0/instances/${id}/`)).json.instances
const offers = async (query: object = {}): Promise<Json[]> =>
  (await call('POST', '/api/v0/bundles/', query)).json.offers
/** Longer than any two calls have to be apart, and shorter than a machine takes to load. */
const pause = () => clock.tick(4_500)
const charges = async (): Promise<Json> => {
  const day = { gte: clock.wallNow() / 1000 - 86_400, lte: clock.wallNow() / 1000 }
  const filters = encodeURIComponent(JSON.stringify({ day, type: { in: ['instance'] } }))
  return (await call('GET', `/api/v0/charges/?select_filters=${filters}`)).json
}

async function rent(body: object = order): Promise<{ id: number; offer: Json }> {
  const [offer] = await offers({ order: [['dph_total', 'asc']], limit: 1 })
  const made = await put(offer.id, body)
  expect(made.status).toBe(200)
  return { id: made.json.new_contract, offer }
}

describe('renting', () => {
  it('takes the offer: a contract of its own id, the offer gone from the search, and back after the end', async () => {
    const { id, offer } = await rent()
    expect(id).not.toBe(offer.id)
    pause()
    const again = await put(offer.id)
    expect(again).toMatchObject({ status: 404, json: { success: false, error: 'no_such_ask', ask_id: offer.id } })
    expect((await offers()).map((each) => each.id)).not.toContain(offer.id)
    expect((await call('DELETE', `/api/v0/instances/${id}/`)).json.success).toBe(true)
    expect((await offers()).map((each) => each.id)).toContain(offer.id)
  })

  it.each<[string, object, string]>([
    ['no image', { image: undefined }, 'invalid_args'],
    ['a small disk', { disk: 7 }, 'invalid_args'],
    ['a disk larger than the machine', { disk: 1e6 }, 'invalid_args'],
    ['a long label', { label: 'l'.repeat(257) }, 'invalid_args'],
    ['a long onstart', { onstart: 'o'.repeat(4049) }, 'invalid_args'],
    ['no such runtype', { runtype: 'vm' }, 'invalid_args'],
    ['a list for env', { env: ['A=B'] }, 'invalid_args'],
    ['a bid of nothing', { price: 0 }, 'invalid_price'],
    ['a bid below the least', { price: 0.001 }, 'invalid_price'],
  ])('refuses %s, and the offer stays', async (_what, change, error) => {
    const [offer] = await offers({ limit: 1 })
    expect(await put(offer.id, { ...order, ...change })).toMatchObject({ status: 400, json: { success: false, error } })
    expect((await offers()).map((each) => each.id)).toContain(offer.id)
    expect(vast.machines()).toEqual([])
  })

  it('goes from nothing over loading to running by its clock, and publishes its ports then', async () => {
    const { id } = await rent()
    expect(await show(id)).toMatchObject({
      actual_status: null,
      intended_status: 'running',
      ports: null,
      label: 'mine',
    })
    clock.tick(2_000)
    expect(await show(id)).toMatchObject({ actual_status: 'loading', public_ipaddr: null })
    clock.tick(2_000)
    const running = await show(id)
    expect(running).toMatchObject({ actual_status: 'running', cur_state: 'running', extra_env: expect.anything() })
    expect(running.public_ipaddr).toMatch(/^203\.0\.113\./)
    expect(running.ports['8000/tcp'][0]).toEqual({ HostIp: '0.0.0.0', HostPort: expect.stringMatching(/^\d+$/) })
    expect(running.extra_env).toEqual(Object.entries(order.env))
  })

  it('reads docker flags as it reads an object', async () => {
    const { id } = await rent({ ...order, env: `-e MODEL='a b' -p 8000:8000 -p 9:70/udp --publish 81:80/tcp` })
    pause()
    const { extra_env, ports } = await show(id)
    expect(extra_env).toEqual([
      ['MODEL', 'a b'],
      ['-p 8000:8000', '1'],
      ['-p 9:70/udp', '1'],
      ['-p 81:80/tcp', '1'],
    ])
    expect(Object.keys(ports)).toEqual(['8000/tcp', '80/tcp'])
  })

  it('costs what was offered, with the disk that is asked for', async () => {
    const [offer] = await offers({ allocated_storage: 20, order: [['dph_total', 'desc']], limit: 1 })
    const { new_contract: id } = (await put(offer.id)).json
    expect((await show(id)).dph_total).toBe(offer.dph_total)
  })

  it('stops and starts: a stopped machine has no ports', async () => {
    const { id } = await rent()
    pause()
    expect((await call('PUT', `/api/v0/instances/${id}/`, { state: 'stopped' })).json).toEqual({ success: true })
    expect(await show(id)).toMatchObject({ actual_status: 'stopped', intended_status: 'stopped', ports: null })
    pause()
    await call('PUT', `/api/v0/instances/${id}/`, { state: 'running', label: 'other' })
    expect(await show(id)).toMatchObject({ actual_status: 'loading', label: 'other' })
    pause()
    expect(await show(id)).toMatchObject({ actual_status: 'running' })
    pause()
    const long = await call('PUT', `/api/v0/instances/${id}/`, { label: 'l'.repeat(257) })
    expect([long.status, long.json.error]).toEqual([400, 'label_too_long'])
    pause()
    expect((await call('PUT', '/api/v0/instances/1/', { state: 'stopped' })).json.error).toBe('no_such_instance')
  })

  it('destroys once: afterwards there is no such instance', async () => {
    const { id } = await rent()
    expect((await call('DELETE', `/api/v0/instances/${id}/`)).status).toBe(200)
    expect(await show(id)).toBe(null)
    pause()
    expect(await call('DELETE', `/api/v0/instances/${id}/`)).toMatchObject({
      status: 404,
      json: { success: false, error: 'not_found' },
    })
  })

  it('lists 25 at a time, by token, and counts labels', async () => {
    const free = await offers()
    for (const [index, offer] of free.slice(0, 30).entries()) {
      clock.tick(4_500)
      await put(offer.id, { ...order, label: `l${index % 2}` })
    }
    const first = (await call('GET', '/api/v1/instances/')).json
    expect(first).toMatchObject({ success: true, instances_found: 30, total_instances: 30 })
    expect(first.label_counts).toEqual({ l0: 15, l1: 15 })
    expect(first.instances).toHaveLength(25)
    pause()
    const token = encodeURIComponent(first.next_token)
    const second = (await call('GET', `/api/v1/instances/?after_token=${token}`)).json
    expect(second).toMatchObject({ next_token: null })
    const ids = [...first.instances, ...second.instances].map((each: Json) => each.id)
    expect(new Set(ids).size).toBe(30)
    pause()
    const filter = encodeURIComponent('{"label":{"eq":"l1"}}')
    expect((await call('GET', `/api/v1/instances/?select_filters=${filter}&limit=3`)).json).toMatchObject({
      instances_found: 15,
      total_instances: 30,
    })
    pause()
    expect((await call('GET', '/api/v1/instances/?limit=26')).status).toBe(400)
    pause()
    expect((await call('GET', '/api/v1/instances/?after_token=x')).status).toBe(400)
  })

  it('writes logs to a file that is there a moment later', async () => {
    const { id } = await rent()
    pause()
    const { json } = await call('PUT', `/api/v0/instances/request_logs/${id}/`, { tail: '1' })
    const file = () => call('GET', json.result_url.slice(vast.baseUrl.length))
    expect((await file()).status).toBe(403)
    clock.tick(300)
    expect((await file()).text).toMatch(/^\S+ listening on 0\.0\.0\.0:8000\n$/)
  })
})

describe('its patience', () => {
  it.each<[string, string, string, number]>([
    ['create', 'PUT', '/api/v0/asks/1/', 4_500],
    ['show', 'GET', '/api/v0/instances/1/', 2_000],
    ['list', 'GET', '/api/v1/instances/', 1_000],
    ['state', 'PUT', '/api/v0/instances/1/', 1_000],
    ['destroy', 'DELETE', '/api/v0/instances/1/', 3_000],
    ['charges', 'GET', '/api/v0/charges/', 1_000],
  ])('%s: a plain 429 without Retry-After until the interval has passed', async (_what, method, path, ms) => {
    const ask = () => call(method, path, method === 'PUT' ? order : undefined)
    expect((await ask()).status).not.toBe(429)
    clock.tick(ms - 1)
    const refused = await ask()
    expect(refused.status).toBe(429)
    expect(refused.headers.get('retry-after')).toBeNull()
    expect(refused.headers.get('content-type')).toContain('text/plain')
    expect(refused.text).toBe(`API requests too frequent: endpoint threshold=${(ms / 1000).toFixed(1)}`)
    clock.tick(1)
    expect((await ask()).status).not.toBe(429)
  })
})

describe('its bill', () => {
  it('charges all of the price while it runs and the disk alone while it is stopped, in micro-dollars', async () => {
    const { id, offer } = await rent()
    const { dph_base, dph_total } = await show(id)
    clock.tick(3_600_000)
    await call('PUT', `/api/v0/instances/${id}/`, { state: 'stopped' })
    clock.tick(7_200_000)
    await call('DELETE', `/api/v0/instances/${id}/`)
    clock.tick(3_600_000)
    const expected = Math.round(dph_base * 1e6) + Math.round(3e6 * (dph_total - dph_base))
    expect(dph_base).toBe(offer.dph_base)
    expect(vast.bill()).toEqual([{ id: String(id), label: 'mine', microUsd: expect.any(Number), ended: true }])
    expect(Math.abs(vast.bill()[0]!.microUsd - expected)).toBeLessThanOrEqual(1)
  })

  it('tells exactly that in its charges, by instance and label', async () => {
    const { id } = await rent()
    clock.tick(1_234_567)
    const { success, count, total, results, next_token } = await charges()
    expect([success, count, total, next_token]).toEqual([true, 1, 1, null])
    expect(results).toMatchObject([
      { type: 'instance', source: `instance-${id}`, metadata: { label: 'mine' }, amount: expect.any(Number) },
    ])
    expect(Math.round(results[0].amount * 1e6)).toBe(vast.bill()[0]!.microUsd)
    const parts = results[0].items.map((item: Json) => Math.round(item.amount * 1e6))
    expect(parts[0] + parts[1]).toBe(vast.bill()[0]!.microUsd)
    expect([results[0].start, results[0].end]).toEqual([
      Math.floor((clock.wallNow() - 1_234_567) / 1000),
      Math.ceil(clock.wallNow() / 1000),
    ])
    pause()
    expect((await call('GET', '/api/v0/charges/?select_filters={}')).status).toBe(400)
  })

  it('grows no more after the end, and does not heed who sets the date', async () => {
    const { id } = await rent()
    clock.tick(3_000)
    clock.stepWall(86_400_000)
    await call('DELETE', `/api/v0/instances/${id}/`)
    const ended = vast.bill()
    clock.tick(3_600_000)
    expect(vast.bill()).toEqual(ended)
    expect(ended[0]!.microUsd).toBeLessThan(10_000)
  })
})

describe('what can be done to it', () => {
  it('loses a host for good', async () => {
    const { id } = await rent()
    pause()
    vast.loseHost(String(id), 'exited')
    expect(await show(id)).toMatchObject({ actual_status: 'exited', intended_status: 'running', ports: null })
    expect(vast.machines()).toMatchObject([{ id: String(id), status: 'exited' }])
  })

  it('takes bids, and outbids them: stopped against its will, for the disk alone', async () => {
    const [offer] = await offers({ type: 'bid', limit: 1 })
    const { new_contract: id } = (await put(offer.id, { ...order, price: offer.min_bid })).json
    pause()
    expect(await show(id)).toMatchObject({ is_bid: true, actual_status: 'running', dph_base: offer.min_bid })
    vast.outbid(String(id))
    const before = vast.bill()[0]!.microUsd
    clock.tick(3_600_000)
    const { dph_total, dph_base, ...after } = await show(id)
    expect(after).toMatchObject({ actual_status: 'stopped', intended_status: 'running', cur_state: 'stopped' })
    expect(Math.abs(vast.bill()[0]!.microUsd - before - (dph_total - dph_base) * 1e6)).toBeLessThanOrEqual(1)
  })

  it('lets somebody else have an offer, for a time', async () => {
    const [offer] = await offers({ limit: 1 })
    vast.raceOffer(String(offer.id), 10_000)
    expect((await put(offer.id)).json.error).toBe('no_such_ask')
    clock.tick(10_000)
    expect((await put(offer.id)).status).toBe(200)
  })

  it('makes another machine with the same label', async () => {
    const { id } = await rent()
    const other = vast.duplicateLabel(String(id))
    expect((await call('GET', '/api/v1/instances/')).json.label_counts).toEqual({ mine: 2 })
    expect(vast.bill().map((each) => each.id)).toEqual([String(id), other])
  })

  it('can take its time to destroy, and charges for it', async () => {
    vast.setDestroyDelay(60_000)
    const { id } = await rent()
    pause()
    await call('DELETE', `/api/v0/instances/${id}/`)
    clock.tick(59_999)
    expect((await call('GET', '/api/v1/instances/')).json.instances).toHaveLength(1)
    expect(vast.machines()).toMatchObject([{ ending: true }])
    const before = vast.bill()[0]!.microUsd
    clock.tick(60_000)
    expect(await show(id)).toBe(null)
    expect(vast.bill()[0]!.microUsd - before).toBeLessThanOrEqual(2)
  })

  it('can say that it destroys, and not do it', async () => {
    vast.setDestroyDelay(Number.POSITIVE_INFINITY)
    const { id } = await rent()
    expect((await call('DELETE', `/api/v0/instances/${id}/`)).json.success).toBe(true)
    clock.tick(3_600_000)
    expect((await show(id)).id).toBe(id)
    vast.setDestroyDelay(0)
    await call('DELETE', `/api/v0/instances/${id}/`)
    expect(vast.machines()).toEqual([])
  })

  it('can leave a machine out of its charges, and bills it all the same', async () => {
    const { id } = await rent()
    clock.tick(3_600_000)
    vast.lie({ kind: 'no_charges', id: String(id) })
    expect((await charges()).results).toEqual([])
    expect(vast.bill()[0]!.microUsd).toBeGreaterThan(0)
  })

  it('can cost more than it was offered for', async () => {
    const [offer] = await offers({ limit: 1 })
    vast.lie({ kind: 'costs_more', id: String(offer.id), factor: 2 })
    const { new_contract: id } = (await put(offer.id)).json
    expect((await show(id)).dph_base).toBe(offer.dph_base * 2)
  })

  it('lies in its lists, and shows the truth', async () => {
    const { id } = await rent()
    pause()
    vast.lie({ kind: 'omits', id: String(id) })
    expect((await call('GET', '/api/v1/instances/')).json.instances).toEqual([])
    expect((await show(id)).id).toBe(id)
    pause()
    await call('DELETE', `/api/v0/instances/${id}/`)
    vast.lie({ kind: 'shows_destroyed', id: String(id) })
    expect((await call('GET', '/api/v1/instances/')).json.instances).toMatchObject([{ id, actual_status: 'running' }])
    expect(await show(id)).toBe(null)
    vast.lie()
    pause()
    expect((await call('GET', '/api/v1/instances/')).json.instances).toEqual([])
  })

  it('says any status, price and address', async () => {
    const { id } = await rent()
    pause()
    vast.lie({ kind: 'status', id: String(id), status: 'rebooting' })
    expect((await show(id)).actual_status).toBe('rebooting')
    vast.lie()
    clock.tick(2_000)
    const { dph_base } = await show(id)
    vast.raisePrice(String(id), 3)
    vast.publish(String(id), { host: '169.254.169.254', port: '80' })
    clock.tick(2_000)
    expect(await show(id)).toMatchObject({
      dph_base: dph_base * 3,
      public_ipaddr: '169.254.169.254',
      ports: { '8000/tcp': [{ HostPort: '80' }, {}] },
    })
  })
})

describe('faults', () => {
  const meet = async (fault: Fault) => {
    const [offer] = await offers({ limit: 1 })
    vast.setFaults([fault])
    return put(offer.id)
  }

  it('can rent and never say so', async () => {
    await expect(meet({ kind: 'swallow_reply', match: { path: '/asks/' } })).rejects.toThrow()
    expect(vast.machines()).toMatchObject([{ label: 'mine' }])
  })

  it('can rent and answer with a page of its proxy', async () => {
    expect((await meet({ kind: 'swallow_reply', instead: 'html_502' })).status).toBe(502)
    expect(vast.machines()).toHaveLength(1)
  })

  it('can say no in a 200, and then has done nothing', async () => {
    const refused = await meet({ kind: 'status', status: 200, code: 'insufficient_credit' })
    expect(refused).toMatchObject({ status: 200, json: { success: false, error: 'insufficient_credit' } })
    expect(vast.machines()).toEqual([])
  })
})
