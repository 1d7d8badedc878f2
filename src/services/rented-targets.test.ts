import { expect, it } from 'vitest'
import { createMemoryDeployments } from '../../adapters/memory/deployments.ts'
import { newDeployment } from '../../tests/support/deployment.ts'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import type { Deployment, Member, NewDeployment } from '../domain/deployment.ts'
import type { ModelProvider } from '../providers/openai.ts'
import { createRentedTargets, type RentedMachine } from './rented-targets.ts'

function world() {
  const clock = new FakeClock()
  const deployments = createMemoryDeployments({ clock })
  const made: RentedMachine[] = []
  const retired: string[] = []
  const inUse = new Map<string, number>()
  const mode = { readOnly: false }
  const warned: string[] = []
  const options = {
    clock,
    random: () => 0.5,
    deployments: { ...deployments },
    createProvider(machine: RentedMachine) {
      made.push(machine)
      const bulkhead = {
        get inUse() {
          return inUse.get(machine.id) ?? 0
        },
      }
      const upstream = { bulkhead, retire: () => void retired.push(machine.origin) }
      return { name: 'rented', upstream } as unknown as ModelProvider
    },
    mode,
    log: { debug() {}, info() {}, warn: (message: string) => void warned.push(message), error() {} },
  }
  const targets = createRentedTargets(options)
  const at = new Date(clock.wallNow())
  async function deploy(members: Member[], own: Partial<NewDeployment> = {}) {
    const begun = (await deployments.create(newDeployment({ accountId: 'owner', ...own }), at, at)) as Deployment
    return stand(begun, members)
  }
  async function stand(seen: Deployment, members: Member[]) {
    const { spent, failures, retryAt, reason, gaveUp } = seen
    const standing = { members, spent, failures, retryAt, reason, gaveUp }
    const changed = await deployments.change((await deployments.find(seen.accountId, seen.id))!, { standing })
    await targets.refresh()
    return changed!
  }
  const planned = (name: string, accountId = 'owner') => {
    const own = targets.rowsOf(accountId)?.get(name)
    return own && { targets: own.row.targets.map(({ provider }) => provider), next: own.next }
  }
  return { clock, deployments, options, targets, made, retired, inUse, mode, warned, deploy, stand, planned }
}
const member = (rentalId: string, state: Member['state'], origin?: string): Member => ({
  rentalId,
  state,
  since: 0,
  origin: origin ?? (state === 'starting' ? undefined : `http://${rentalId}`),
  misses: 0,
})

it('leads the owner alone to machines that are ready, by the name and by the model', async () => {
  const { deploy, planned, made, targets } = world()
  await deploy([member('a', 'ready'), member('b', 'starting'), member('c', 'draining')], { fallbacks: ['gpt'] })
  const expected = { targets: ['rented/a'], next: ['llama-3.1-8b', 'gpt'] }
  expect(planned('mine')).toEqual(expected)
  expect(planned('llama-3.1-8b')).toEqual(expected)
  expect(planned('mine', 'stranger')).toBeUndefined()
  expect([...targets.namesOf('owner')]).toEqual(['mine', 'llama-3.1-8b'])
  expect([...targets.namesOf('stranger')]).toEqual([])
  expect(made).toContainEqual({ id: 'a', origin: 'http://a', apiKey: 'secret' })
  expect(targets.rowsOf('owner')?.get('mine')?.row.targets).toMatchObject([
    { model: 'llama-3.1-8b', contextWindow: 16_384, price: { inputPerMillion: 0, outputPerMillion: 0 } },
  ])
})

it('keeps a name while nothing answers under it, and gives it up when the deployment ends', async () => {
  const { deploy, deployments, planned, targets } = world()
  const begun = await deploy([])
  expect(planned('mine')).toEqual({ targets: [], next: ['llama-3.1-8b'] })
  await deployments.change(begun, { endAskedAt: new Date(1) })
  await targets.refresh()
  expect(planned('mine')).toBeUndefined()
})

it('puts the machines of two deployments of one model together under its name', async () => {
  const { deploy, planned } = world()
  await deploy([member('a', 'ready')], { name: 'one' })
  await deploy([member('b', 'ready')], { name: 'two' })
  expect(planned('one')?.targets).toEqual(['rented/a'])
  expect(planned('llama-3.1-8b')?.targets.toSorted()).toEqual(['rented/a', 'rented/b'])
  await deploy([member('c', 'ready')], { name: 'llama-3.1-8b' })
  expect(planned('llama-3.1-8b')?.targets, 'one that is called so').toEqual(['rented/c'])
})

it('keeps the guards of a machine from look to look, and makes new ones where its address has changed', async () => {
  const { deploy, stand, made, retired, targets } = world()
  const begun = await deploy([member('a', 'ready'), member('b', 'ready')])
  await stand(begun, [member('a', 'starting', 'http://a'), member('b', 'ready', 'http://elsewhere')])
  expect(made.map(({ origin }) => origin)).toEqual(['http://a', 'http://b', 'http://elsewhere'])
  expect(retired).toEqual(['http://b'])
  await stand(begun, [])
  expect(retired).toEqual(['http://b', 'http://a', 'http://elsewhere'])
  expect([...targets.upstreams()]).toEqual([])
})

it('tells of requests under way on machines that are being emptied', async () => {
  const { deploy, stand, deployments, inUse, mode } = world()
  const begun = await deploy([member('a', 'ready'), member('b', 'ready')])
  inUse.set('a', 2).set('b', 1)
  const busy = async () => Object.keys((await deployments.find('owner', begun.id))!.busy)
  await stand(begun, [member('a', 'draining'), member('b', 'ready')])
  expect(await busy()).toEqual(['a'])
  mode.readOnly = true
  await stand(begun, [member('a', 'draining'), member('b', 'draining')])
  expect(await busy(), 'nothing may be written').toEqual(['a'])
})

it('goes on by what it knows while the database is away, for five minutes', async () => {
  const { clock, deploy, options, planned, targets, warned } = world()
  await deploy([member('a', 'ready')])
  options.deployments.all = async () => {
    throw new Error('away')
  }
  targets.start()
  await clock.advance(4 * 60_000)
  expect(warned.length).toBeGreaterThan(0)
  expect(planned('mine')?.targets).toEqual(['rented/a'])
  await clock.advance(2 * 60_000)
  expect(planned('mine')).toBeUndefined()
  expect([...targets.namesOf('owner')]).toEqual([])
  await targets.stop({ timeoutMs: 1_000 })
})
