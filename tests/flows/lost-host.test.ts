/** A machine whose host is lost, rented by somebody who wants another one then, and by somebody who does not. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually, startTestGateway, type TestGateway } from '../support/gateway.ts'
import { hurriedClock } from '../support/hurried-clock.ts'

interface Instance {
  id: string
  status: string
  reason?: string
  replaces?: string
  replaced_by?: string
}

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({
    ports: { clock: hurriedClock(20) },
    market: { provisioningMs: 20, loadingMs: 20, paced: false },
  })
})
afterAll(() => gateway.close())

const path = '/api/v1/gpu/instances'
const all = async () => ((await (await gateway.get(path)).json()) as { instances: Instance[] }).instances
const isUp = (of: (instance: Instance) => boolean) => (instances: Instance[]) =>
  instances.some((each) => of(each) && each.status === 'running')

test('another machine takes its place where that was asked for, and only there', async () => {
  const { vastai } = gateway.sandbox
  const rent = async (replace: boolean) => {
    const order = {
      filters: { provider: 'vastai', gpu_count: 1, max_price: 1 },
      image: 'ubuntu:24.04',
      ports: [8000],
      replace,
    }
    const made = await gateway.post(path, order, { headers: { 'idempotency-key': `rent-${replace}` } })
    expect(made.status).toBe(201)
    return ((await made.json()) as Instance).id
  }
  const [kept, given] = [await rent(true), await rent(false)]
  for (const id of [kept, given])
    await eventually(
      all,
      isUp((each) => each.id === id),
    )
  for (const { id } of vastai.machines()) vastai.loseHost(id)
  const now = await eventually(
    all,
    isUp(({ replaces }) => replaces === kept),
  )
  await eventually(all, (instances) => instances.filter(({ status }) => status === 'failed').length === 2)
  const successor = now.find(({ replaces }) => replaces === kept)!
  const lost = { status: 'failed', reason: 'host_lost' }
  const after = await all()
  expect(after.find(({ id }) => id === kept)).toMatchObject({ ...lost, replaced_by: successor.id })
  expect(after.find(({ id }) => id === given)).toMatchObject(lost)
  expect(after.filter(({ replaces }) => replaces !== undefined)).toHaveLength(1)
  expect(vastai.machines()).toHaveLength(1)
}, 60_000)
