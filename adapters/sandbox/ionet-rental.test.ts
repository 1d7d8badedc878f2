import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { type Sandbox, startSandbox } from './sandbox.ts'

type Json = ReturnType<typeof JSON.parse>

const root = '/enterprise/v1/io-cloud/caas'
const hourMs = 3_600_000

let clock: FakeClock
let sandbox: Sandbox
let ionet: NonNullable<Sandbox['ionet']>

beforeEach(async () => {
  clock = new FakeClock()
  const keys = { ionet: 'right' }
  sandbox = await startSandbox({ clock, random: Math.random, servers: ['ionet'], hosts: false, keys })
  ionet = sandbox.ionet!
})
afterEach(() => sandbox.close())

async function call(method: string, path: string, body?: unknown) {
  const response = await fetch(`${ionet.baseUrl}${root}${path}`, {
    method,
    headers: { 'x-api-key': 'right' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.startsWith('application/json')
  return { status: response.status, text, json: (isJson ? JSON.parse(text) : undefined) as Json }
}

const order = {
  resource_private_name: 'mine',
  duration_hours: 1,
  gpus_per_container: 1,
  hardware_id: 158,
  location_ids: [17],
  container_config: {
    replica_count: 1,
    traffic_port: 8000,
    env_variables: { A: 'b' },
    secret_env_variables: { S: 'x' },
  },
  registry_config: { image_url: 'vllm/vllm-openai' },
}
const deploy = (change: object = {}) => call('POST', '/deploy', { ...order, ...change })
const show = async (id: string): Promise<Json> => (await call('GET', `/deployment/${id}`)).json.data
const list = async (query = ''): Promise<Json> => (await call('GET', `/deployments${query}`)).json.data
const worker = async (id: string): Promise<Json> =>
  (await call('GET', `/deployment/${id}/containers`)).json.data.workers[0]
const left = async (): Promise<number> => {
  const { json } = await call('GET', '/available-replicas?hardware_id=158&hardware_qty=1')
  return json.data.find((place: Json) => place.id === 17).available_replicas
}
async function rent(change: object = {}): Promise<string> {
  const { status, json } = await deploy(change)
  expect([status, json.status]).toEqual([200, 'DEPLOYMENT REQUESTED'])
  return json.deployment_id
}

describe('deploying', () => {
  it('takes a replica, which is free again when it has gone', async () => {
    expect(await left()).toBe(14)
    const id = await rent()
    expect(id).toMatch(/^[0-9a-f-]{36}$/)
    expect(await left()).toBe(13)
    await call('DELETE', `/deployment/${id}`)
    clock.tick(3_000)
    expect(await left()).toBe(14)
  })

  it('is on its way, then runs by its clock; its address is empty until then; no two routes write its status alike', async () => {
    const id = await rent()
    expect(await show(id)).toMatchObject({ status: 'Deployment requested', started_at: null, finished_at: null })
    expect(await worker(id)).toMatchObject({ public_url: '', status: 'deployment requested' })
    clock.tick(1_000)
    expect((await list()).deployments).toMatchObject([{ id, name: 'mine', status: 'IN PROGRESS' }])
    clock.tick(1_500)
    expect((await list()).deployments).toMatchObject([{ id, status: 'RUNNING' }])
    expect(await show(id)).toMatchObject({ status: 'Running', compute_minutes_remaining: 60 })
    const { public_url, status } = await worker(id)
    expect([public_url, status]).toEqual([expect.stringMatching(/^http:\/\/203\.0\.113\.\d+:\d+$/), 'running'])
  })

  it('tells what it is without its secrets, with dates that have no zone', async () => {
    const shown = await show(await rent())
    expect(shown).toMatchObject({
      amount_paid: 0.32,
      hardware_id: 158,
      total_containers: 1,
      locations: [{ id: 17, iso2: 'IN', name: 'India' }],
      container_config: { env_variables: { A: 'b' }, secret_env_keys: ['S'], traffic_port: 8000 },
    })
    expect(JSON.stringify(shown)).not.toContain('"x"')
    expect(shown.created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/)
    expect(Date.parse(`${shown.created_at}Z`)).toBe(clock.wallNow())
  })

  it('refuses a name that is in use, and takes it again afterwards', async () => {
    const id = await rent()
    expect(await call('GET', '/clusters/check_cluster_name_availability?cluster_name=mine')).toMatchObject({
      text: 'false',
    })
    expect(await deploy()).toMatchObject({ status: 409, json: { detail: expect.any(String) } })
    await call('DELETE', `/deployment/${id}`)
    clock.tick(3_000)
    expect((await call('GET', '/clusters/check_cluster_name_availability?cluster_name=mine')).text).toBe('true')
    await rent()
  })

  it('refuses what it has no replicas for', async () => {
    const many = { container_config: { replica_count: 15, traffic_port: 80 } }
    expect(await deploy(many)).toMatchObject({ status: 400, json: { detail: expect.stringContaining('replicas') } })
    ionet.raceOffer('1017', 10_000)
    expect(await left()).toBe(0)
    expect((await deploy()).status).toBe(400)
    clock.tick(10_000)
    await rent()
  })

  it('names everything that is wrong at once, in the manner of FastAPI', async () => {
    const { container_config: _, ...rest } = order
    const { status, json } = await call('POST', '/deploy', {
      ...rest,
      duration_hours: 0,
      location_ids: [],
      registry_config: { image_url: 'i', tag: 'latest' },
      more: 1,
    })
    expect(status).toBe(422)
    expect(json.detail.map((each: Json) => [each.loc.join('.'), each.type])).toEqual([
      ['body.duration_hours', 'greater_than_equal'],
      ['body.location_ids', 'too_short'],
      ['body.container_config', 'missing'],
      ['body.registry_config.tag', 'extra_forbidden'],
      ['body.more', 'extra_forbidden'],
    ])
    expect((await call('POST', '/deploy')).json.detail[0]).toMatchObject({ loc: ['body'] })
    expect((await deploy({ hardware_id: 1 })).json).toEqual({ detail: 'Hardware not found' })
    expect((await deploy({ location_ids: [2] })).json).toEqual({ detail: 'Location not found' })
    expect((await deploy({ gpus_per_container: 9 })).status).toBe(422)
    expect(ionet.machines()).toEqual([])
  })

  it('lists page by page, by status, the newest first', async () => {
    for (let n = 0; n < 5; n++) await rent({ resource_private_name: `n${n}` })
    const first = await list('?page=1&page_size=2')
    expect(first).toMatchObject({ total: 5, statuses: expect.arrayContaining(['running']) })
    expect(first.deployments.map((each: Json) => each.name)).toEqual(['n4', 'n3'])
    expect((await list('?page=3&page_size=2')).deployments).toHaveLength(1)
    expect((await list('?status=running')).total).toBe(0)
    expect((await list('?status=DEPLOYMENT%20REQUESTED')).total).toBe(5)
    expect((await call('GET', '/deployments?page_size=101')).status).toBe(422)
    expect((await call('GET', '/deployments?page=0')).status).toBe(422)
  })

  it('needs its key for all of it', async () => {
    const response = await fetch(`${ionet.baseUrl}${root}/deploy`, { method: 'POST', body: JSON.stringify(order) })
    expect(response.status).toBe(403)
  })

  it('has the logs of each container', async () => {
    const id = await rent()
    clock.tick(2_500)
    const { container_id } = await worker(id)
    expect((await call('GET', `/deployment/${id}/log/${container_id}`)).text).toMatch(
      /pulling vllm\/vllm-openai\n.*listening on 0\.0\.0\.0:8000\n$/,
    )
    expect((await call('GET', `/deployment/${id}/log/none`)).status).toBe(404)
  })
})

describe('its end', () => {
  it('is asked for once, and comes later', async () => {
    const id = await rent()
    expect((await call('DELETE', `/deployment/${id}`)).json).toEqual({
      status: 'TERMINATION REQUESTED',
      deployment_id: id,
    })
    expect((await call('DELETE', `/deployment/${id}`)).status).toBe(404)
    clock.tick(2_999)
    expect((await list()).deployments).toMatchObject([{ status: 'TERMINATION REQUESTED' }])
    clock.tick(1)
    expect((await list()).deployments).toEqual([])
    expect(await show(id)).toMatchObject({ status: 'Terminated', finished_at: expect.any(String), amount_paid: 0.32 })
  })

  it('comes by itself when the hours are over that it began to run with', async () => {
    const id = await rent()
    clock.tick(2_500 + hourMs - 1)
    expect(await show(id)).toMatchObject({ compute_minutes_served: 59, compute_minutes_remaining: 1 })
    clock.tick(1)
    expect(await show(id)).toMatchObject({ status: 'Completed', compute_minutes_served: 60, completed_percent: 100 })
    expect(ionet.machines()).toEqual([])
    expect((await call('POST', `/deployment/${id}/extend`, { duration_hours: 1 })).status).toBe(404)
  })

  it('is put off by hours that are bought in time', async () => {
    const id = await rent()
    const extended = await call('POST', `/deployment/${id}/extend`, { duration_hours: 2 })
    expect(extended.json.data).toMatchObject({ amount_paid: 0.96, compute_minutes_remaining: 180 })
    expect((await call('POST', `/deployment/${id}/extend`, { duration_hours: 0 })).json.detail[0].loc).toEqual([
      'body',
      'duration_hours',
    ])
    clock.tick(2 * hourMs)
    expect(await show(id)).toMatchObject({ status: 'Running' })
  })
})

describe('its bill', () => {
  it('is for the hours that were bought, whenever it ends', async () => {
    const id = await rent({ duration_hours: 3, gpus_per_container: 1 })
    await call('DELETE', `/deployment/${id}`)
    clock.tick(hourMs)
    expect(ionet.bill()).toEqual([{ id, label: 'mine', microUsd: 960_000, ended: true }])
    expect((await show(id)).amount_paid).toBe(0.96)
  })

  it('may be higher than what was offered, and rise', async () => {
    ionet.lie({ kind: 'costs_more', id: '1017', factor: 2 })
    const id = await rent()
    expect((await show(id)).amount_paid).toBe(0.64)
    ionet.raisePrice(id, 1.5)
    await call('POST', `/deployment/${id}/extend`, { duration_hours: 1 })
    expect(ionet.bill()).toMatchObject([{ microUsd: 1_600_000 }])
  })
})

describe('what can be done to it', () => {
  it('loses its host: failed, listed and paid for', async () => {
    const id = await rent()
    clock.tick(3_000)
    ionet.loseHost(id)
    expect((await list()).deployments).toMatchObject([{ status: 'FAILED' }])
    expect(await worker(id)).toMatchObject({ public_url: '' })
  })

  it('has two of one name', async () => {
    const id = await rent()
    const other = ionet.duplicateLabel(id)
    expect((await list()).deployments.map((each: Json) => [each.id, each.name])).toEqual([
      [other, 'mine'],
      [id, 'mine'],
    ])
    await call('DELETE', `/deployment/${id}`)
    clock.tick(3_000)
    expect((await deploy()).status).toBe(409)
  })

  it('lies in its lists, and says any address', async () => {
    const id = await rent()
    clock.tick(3_000)
    ionet.lie({ kind: 'omits', id })
    expect((await list()).total).toBe(0)
    ionet.lie({ kind: 'status', id, status: 'Hibernating' })
    expect((await list()).deployments).toMatchObject([{ status: 'HIBERNATING' }])
    ionet.lie()
    ionet.publish(id, 'http://169.254.169.254/')
    expect((await worker(id)).public_url).toBe('http://169.254.169.254/')
    await call('DELETE', `/deployment/${id}`)
    clock.tick(3_000)
    ionet.lie({ kind: 'shows_destroyed', id })
    expect((await list()).deployments).toMatchObject([{ id, status: 'RUNNING' }])
  })

  it('deploys and never says so', async () => {
    ionet.setFaults([{ kind: 'swallow_reply', match: { path: '/deploy' }, times: 1 }])
    await expect(deploy()).rejects.toThrow()
    expect(ionet.machines()).toMatchObject([{ label: 'mine' }])
    expect((await list()).total).toBe(1)
  })
})
