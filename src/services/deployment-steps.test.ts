import { expect, it } from 'vitest'
import { createMemoryDeployments } from '../../adapters/memory/deployments.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createTestRentals } from '../../tests/support/test-rentals.ts'
import type { EndReason, NewRental, Rental, RentalState } from '../domain/rental.ts'
import { ApiError, type ErrorCode } from '../errors.ts'
import { createDeploymentSteps } from './deployment-steps.ts'
import { createDeploymentDesk, type DeploymentOrder } from './deployments.ts'
import type { Payer, RentalDesk } from './rental-desk.ts'

const payer: Payer = { accountId: 'owner', keyId: 'key', purseId: 'owner', budgets: undefined }
const order: DeploymentOrder = { model: 'qwen2.5-7b', filter: {}, replicas: 2, maxPrice: 500_000, fallbacks: [] }

/** Deployments over rentals that a market need not be asked for: the test says what becomes of them. */
function world() {
  const clock = new FakeClock()
  const { rentals, rows } = createTestRentals(clock, { accountId: payer.accountId })
  const deployments = { ...createMemoryDeployments({ clock }) }
  const answering = new Set<string>()
  const users = new Set(['owner'])
  let made = 0
  const newId = () => `0198c0de-${(++made).toString(16).padStart(4, '0')}-7000-8000-000000000000`
  let refusal: ErrorCode | undefined
  let answers = Promise.resolve()
  const asked: { count: number; spread: boolean }[] = []
  const desk: Pick<RentalDesk, 'begin' | 'end'> = {
    async begin({ accountId, keyId, purseId }, { spec, search, deploymentId }, count) {
      asked.push({ count, spread: search.spread })
      if (refusal && (refusal !== 'not_enough_offers' || search.spread || count === 1)) throw new ApiError(refusal)
      const offer = { id: 'vastai:1', market: 'vastai', pricePerHour: 400_000 } as NewRental['offer']
      const of = { accountId, keyId, purseId, reservationId: undefined, deploymentId, replaces: undefined }
      const wanted = Array.from({ length: count }, () => ({
        rental: { ...of, id: newId(), spec, search, offer },
        hold: 400_000,
      }))
      return (await rentals.begin(wanted, { accountId, purseId, budgets: undefined })) as Rental[]
    },
    end: async (rental, reason) => become(rental.id, 'ending', reason),
  }
  const mode = { readOnly: false }
  const options = {
    clock,
    random: () => 0,
    deployments,
    rentals,
    desk,
    accounts: { keyLimits: async () => undefined },
    users: { find: async (id: string) => (users.has(id) ? ({} as never) : undefined) },
    async probe(origin: string) {
      await answers
      return answering.has(origin)
    },
    pods: () => 1,
    mode,
    log: { debug() {}, info() {}, warn() {}, error() {} },
  }
  const steps = createDeploymentSteps(options)
  const newSecret = () => 'a canary of a secret'
  const service = createDeploymentDesk({ ...options, newId, newSecret, steps, onChange: () => {} })

  const of = (id: string) => rows().find((each) => each.id === id)!
  const via: Partial<Record<RentalState, RentalState[]>> = {
    running: ['creating', 'starting', 'running'],
    gone: ['ending'],
    failed: ['ending'],
  }
  async function become(id: string, state: RentalState, reason?: EndReason) {
    const { state: now } = of(id)
    if (now === state || now === 'gone' || now === 'failed') return undefined
    for (const next of via[state] ?? [state]) {
      if (now === 'intended' && next === 'ending') await rentals.change(of(id), { state: 'creating' })
      await rentals.change(of(id), { state: next, reason, endpoints: [{ port: 8000, origin: `http://${id}` }] })
    }
    if (state !== 'gone' && state !== 'failed') return of(id)
    return rentals.end(of(id), { at: new Date(clock.wallNow()), state, reason: reason!, settle: 1_000, refund: 0 })
  }
  return {
    ...{ clock, deployments, rentals, rows, asked, service, steps, mode, become, answering, users },
    refuse: (code: ErrorCode | undefined) => {
      refusal = code
    },
    /** Machines answer no question before that. */
    answerAfter: (when: Promise<void>) => {
      answers = when
    },
    async pass(ms: number) {
      for (let passed = 0; passed < ms; passed += 1_000) {
        await clock.advance(1_000)
        await steps.round()
      }
    },
    async run(...ids: string[]) {
      for (const id of ids) {
        await become(id, 'running')
        answering.add(`http://${id}`)
      }
    },
    only: async () => (await deployments.all())[0]!,
    live: () => rows().filter(({ state }) => !['ending', 'gone', 'failed'].includes(state)),
  }
}

it('rents machines that run the server with a secret, one host each, and tells when they answer', async () => {
  const { service, rows, asked, run, pass, only } = world()
  const { deployment } = await service.create(payer, order)
  expect(asked).toEqual([{ count: 2, spread: true }])
  expect(rows()).toMatchObject(
    [0, 1].map(() => ({
      deploymentId: deployment.id,
      spec: {
        ports: [8000],
        env: { VLLM_API_KEY: 'a canary of a secret' },
        maxPrice: 500_000,
        diskGb: 50,
        replace: false,
      },
      search: { filter: { gpuCount: 1, minVramGb: 24, maxPriceMicroUsd: 500_000 } },
    })),
  )
  await run(...rows().map(({ id }) => id))
  await pass(3_000)
  expect(await only()).toMatchObject({ members: [{ state: 'ready' }, { state: 'ready' }], failures: 0 })
})

it('puts two on one host rather than none', async () => {
  const { service, asked, refuse } = world()
  refuse('not_enough_offers')
  await service.create(payer, order)
  expect(asked.map(({ spread }) => spread)).toEqual([true, false])
})

it('leaves nothing where nothing could be rented, and says why', async () => {
  const { service, deployments, refuse, rows } = world()
  refuse('insufficient_credit')
  await expect(service.create(payer, order)).rejects.toMatchObject({ code: 'insufficient_credit' })
  await expect(service.create(payer, { ...order, model: 'gpt-4o' })).rejects.toMatchObject({ code: 'invalid_body' })
  expect(await deployments.all()).toEqual([])
  refuse(undefined)
  await service.create(payer, order)
  await expect(service.create(payer, order)).rejects.toMatchObject({ code: 'deployment_name_taken' })
  expect(rows()).toHaveLength(2)
})

it('goes on with what a pod has begun and not written down', async () => {
  const { service, deployments, rows, pass, only } = world()
  const { change } = deployments
  deployments.change = async () => {
    throw new Error('this pod is gone')
  }
  await expect(service.create(payer, order)).rejects.toThrow('gone')
  deployments.change = change
  await pass(110_000)
  expect((await only()).members, 'whoever creates it may still be at it').toEqual([])
  await pass(20_000)
  expect((await only()).members.map(({ rentalId }) => rentalId).sort()).toEqual(
    rows()
      .map(({ id }) => id)
      .sort(),
  )
  expect(rows()).toHaveLength(2)
})

it('replaces what is lost, clears it away, and keeps what it came to', async () => {
  const { service, rows, run, pass, become, only, rentals } = world()
  await service.create(payer, order)
  const [first, second] = rows().map(({ id }) => id) as [string, string]
  await run(first, second)
  await pass(3_000)
  await become(first, 'failed', 'host_lost')
  await pass(20_000)
  const third = rows().at(-1)!.id
  expect(rows()).toHaveLength(3)
  expect(await rentals.find('owner', first)).toMatchObject({ state: 'gone' })
  expect(await only()).toMatchObject({ spent: 1_000, members: [{ rentalId: second }, { rentalId: third }] })
})

it('gives up after some tries, keeps what answers, and tries again when it is scaled', async () => {
  const { service, rows, run, pass, become, only, refuse, asked } = world()
  const { deployment } = await service.create(payer, order)
  const [first, second] = rows().map(({ id }) => id) as [string, string]
  await run(first, second)
  await pass(11 * 60_000)
  refuse('insufficient_credit')
  await become(first, 'failed', 'credit')
  await pass(15 * 60_000)
  expect(await only()).toMatchObject({ gaveUp: true, reason: 'insufficient_credit', members: [{ rentalId: second }] })
  const tries = asked.length
  expect(tries).toBe(7)
  await pass(15 * 60_000)
  expect(asked.length).toBe(tries)
  refuse(undefined)
  await service.scale('owner', deployment.id, 2)
  await pass(3_000)
  expect(rows()).toHaveLength(3)
})

it('looks seldom at one that was given up', async () => {
  const { service, live, become, pass, only } = world()
  await service.create(payer, { ...order, replicas: 1 })
  while (!(await only()).gaveUp) {
    for (const { id } of live()) await become(id, 'failed', 'host_lost')
    await pass(10_000)
  }
  await pass(10_000)
  const { version } = await only()
  await pass(60_000)
  // Two versions a look: it is taken, and written down.
  expect((await only()).version - version).toBeLessThanOrEqual(10)
})

it('ends all of it when its owner wants that, or is nobody any more', async () => {
  for (const ended of ['owner', 'closed'] as const) {
    const { service, rows, run, pass, become, only, users, live } = world()
    const { deployment } = await service.create(payer, order)
    await run(...rows().map(({ id }) => id))
    await pass(3_000)
    if (ended === 'owner') await service.end('owner', deployment.id)
    else users.delete('owner')
    await pass(40_000)
    expect(await only()).toMatchObject({ endAskedAt: expect.any(Date) })
    expect(live(), 'both were empty').toEqual([])
    if (ended === 'owner') {
      await expect(service.scale('owner', deployment.id, 3)).rejects.toMatchObject({ code: 'deployment_ending' })
      expect(await service.end('owner', deployment.id), 'told again').toMatchObject({
        deployment: { id: deployment.id },
      })
    }
    expect(rows()).toHaveLength(2)
    for (const { id } of rows()) await become(id, 'gone', 'group')
    await pass(20_000)
    expect(await only()).toBeUndefined()
    await expect(service.find('owner', deployment.id)).rejects.toMatchObject({ code: 'deployment_not_found' })
  }
})

it('has two pods at it begin no machine twice', async () => {
  const { service, steps, rows, become, clock, live } = world()
  await service.create(payer, order)
  for (const { id } of rows()) await become(id, 'failed', 'host_lost')
  for (let n = 0; n < 60; n++) {
    await clock.advance(1_000)
    await Promise.all([steps.round(), steps.round(), steps.round()])
    expect(live().length).toBeLessThanOrEqual(2)
  }
  expect(live()).toHaveLength(2)
})

it('begins no machine twice where it is scaled while a pod is at it', async () => {
  const { service, steps, rows, run, clock, live, pass, answerAfter } = world()
  const { deployment } = await service.create(payer, order)
  await run(...rows().map(({ id }) => id))
  await pass(3_000)
  const { promise, resolve } = Promise.withResolvers<void>()
  answerAfter(promise)
  await service.scale('owner', deployment.id, 3)
  await clock.advance(1_000)
  const first = steps.round()
  await clock.advance(1_000)
  await service.scale('owner', deployment.id, 4)
  await clock.advance(1_000)
  const second = steps.round()
  await clock.advance(1_000)
  resolve()
  await Promise.all([first, second])
  expect(live()).toHaveLength(4)
})

it("does nothing while nothing may be written, and is nobody else's", async () => {
  const { service, mode, pass, only, answering, become, rows } = world()
  const { deployment } = await service.create(payer, order)
  mode.readOnly = true
  for (const { id } of rows()) {
    await become(id, 'running')
    answering.add(`http://${id}`)
  }
  await pass(5_000)
  expect((await only()).members).toMatchObject([{ state: 'starting' }, { state: 'starting' }])
  for (const id of [deployment.id, 'nonsense']) {
    await expect(service.find('another', id)).rejects.toMatchObject({ code: 'deployment_not_found' })
    await expect(service.end('another', id)).rejects.toMatchObject({ code: 'deployment_not_found' })
  }
  expect(await service.list('another', { limit: 5 })).toEqual([])
})

it('clears away what was lost only once it is in the sum', async () => {
  const { service, deployments, rows, run, pass, become } = world()
  await service.create(payer, order)
  const [first] = rows()
  await run(...rows().map(({ id }) => id))
  await pass(3_000)
  const { change } = deployments
  // Somebody else has changed it each time that it is to be written down.
  deployments.change = async (seen, to) => ('standing' in to ? undefined : change(seen, to))
  await become(first!.id, 'failed', 'host_lost')
  const stateNow = () => rows().find(({ id }) => id === first!.id)!.state
  await pass(40_000)
  expect(stateNow()).toBe('failed')
  deployments.change = change
  await pass(200_000)
  expect(stateNow()).toBe('gone')
})
