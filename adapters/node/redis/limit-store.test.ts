import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ClaimSet } from '../../../src/resilience/limits.ts'
import { limitsContract } from '../../../tests/contracts/limits.ts'
import { eventually } from '../../../tests/support/gateway.ts'
import { startRedis, startRedisCluster, type TestRedis, type TestRedisCluster } from '../../../tests/support/redis.ts'
import { openLimits } from '../../../tests/support/redis-limits.ts'

let single: TestRedis
let cluster: TestRedisCluster
beforeAll(async () => {
  single = await startRedis()
  cluster = await startRedisCluster()
})
afterAll(() => Promise.all([single.close(), cluster.close()]))

const ofSingle = () => openLimits({ url: single.url }, [single])
const nodesOf = ({ nodes }: TestRedisCluster) => nodes.map(({ port }) => ({ host: '127.0.0.1', port }))

limitsContract('limits in a single Redis', ofSingle)
limitsContract('limits in a Redis Cluster', () =>
  openLimits({ nodes: nodesOf(cluster), password: undefined }, cluster.nodes),
)

describe('limits of several pods', () => {
  const requests = (limit: number, group: string): ClaimSet => ({
    group,
    claims: [{ scope: 'key', unit: 'requests', limit, key: `requests:${group}` }],
  })
  const places = (limit: number, group: string): ClaimSet => ({
    group,
    claims: [{ scope: 'key', unit: 'places', limit, key: `places:${group}` }],
  })

  it('are one limit', async () => {
    const pods = await Promise.all([ofSingle(), ofSingle(), ofSingle()])
    const set = requests(1_000, 'shared')
    const from = performance.now()
    const decisions = await Promise.all(
      Array.from({ length: 5_000 }, (_, i) => pods[i % 3]!.limits.take(set, `shared-${i}`)),
    )
    const admitted = decisions.filter(({ refusedBy }) => !refusedBy).length
    expect(admitted).toBeGreaterThanOrEqual(1_000)
    expect(admitted).toBeLessThanOrEqual(1_000 + Math.ceil((performance.now() - from) / 60))
    await Promise.all(pods.map(({ close }) => close()))
  })

  it('touch no network for most requests of a busy key', async () => {
    const pod = await ofSingle()
    const set = requests(1_000_000, 'busy')
    let asked = 0
    for (let i = 0; i < 20_000; i++) {
      const taken = pod.limits.take(set, `busy-${i}`)
      if (taken instanceof Promise) asked++
      expect((await taken).refusedBy).toBeUndefined()
    }
    expect(asked).toBeLessThan(20)
    await pod.close()
  })

  it('lose the places of a pod that died, after their lease and not before', async () => {
    const [dying, other] = [await ofSingle(), await ofSingle()]
    const set = places(4, 'dying')
    for (let i = 0; i < 4; i++) expect((await dying.limits.take(set, `dying-${i}`)).refusedBy).toBeUndefined()
    dying.redis.close()
    await other.advance(14_000)
    expect((await other.limits.take(set, 'early')).refusedBy?.unit).toBe('places')
    await other.advance(1_500)
    for (let i = 0; i < 4; i++) expect((await other.limits.take(set, `late-${i}`)).refusedBy).toBeUndefined()
    await other.close()
  })

  it('keep the places of a request that lasts', async () => {
    const [long, other] = [await ofSingle(), await ofSingle()]
    const set = places(1, 'lasting')
    expect((await long.limits.take(set, 'lasting')).refusedBy).toBeUndefined()
    for (let i = 0; i < 20; i++) {
      await long.advance(3_000)
      await long.settle()
    }
    expect((await other.limits.take(set, 'waiting')).refusedBy?.unit).toBe('places')
    long.limits.end(set, 'lasting')
    await long.settle()
    await other.advance(1_000)
    expect((await other.limits.take(set, 'waiting')).refusedBy).toBeUndefined()
    await Promise.all([long.close(), other.close()])
  })

  it('leave no place stuck after 10,000 requests that end at random moments', async () => {
    const pods = await Promise.all([ofSingle(), ofSingle(), ofSingle()])
    const set = places(20, 'aborted')
    let running = 0
    let most = 0
    const one = async (i: number) => {
      const { limits } = pods[i % 3]!
      const { refusedBy } = await limits.take(set, `aborted-${i}`)
      if (refusedBy) return
      most = Math.max(most, ++running)
      for (let turns = Math.random() * 20; turns > 0; turns--) await new Promise(setImmediate)
      running--
      limits.end(set, `aborted-${i}`)
    }
    for (let i = 0; i < 10_000; i += 200) {
      await Promise.all(Array.from({ length: 200 }, (_, n) => one(i + n)))
      for (const pod of pods) pod.clock.tick(150)
    }
    expect(most).toBeLessThanOrEqual(20)
    for (const pod of pods) await pod.settle()
    await eventually(async () => (await single.admin.keys('*places:aborted')).length === 0)
    await Promise.all(pods.map(({ close }) => close()))
  })

  it('go on with a share each while Redis is gone, and together again when it is back', async () => {
    const pods = await Promise.all([1, 2, 3].map(() => openLimits({ url: single.url }, [single], () => 3)))
    const set = requests(300, 'outage')
    for (let i = 0; i < 30; i++) await pods[i % 3]!.limits.take(set, `before-${i}`)
    await single.signal('SIGKILL')
    await eventually(() => pods.every(({ redis }) => !redis.up))
    const during = await Promise.all(
      Array.from({ length: 2_000 }, (_, i) => pods[i % 3]!.limits.take(set, `during-${i}`)),
    )
    const admitted = during.filter(({ refusedBy }) => !refusedBy).length
    expect(admitted).toBeGreaterThan(290)
    expect(admitted).toBeLessThanOrEqual(310)
    await single.restart()
    await eventually(() => pods.every(({ redis }) => redis.up))
    expect((await pods[0]!.limits.take(requests(300, 'after'), 'after')).refusedBy).toBeUndefined()
    expect((await single.admin.keys('*:limit:requests:after')).length).toBe(1)
    await Promise.all(pods.map(({ close }) => close()))
  })
})

describe('a cluster that loses a master', () => {
  it('hangs nothing: its subjects are limited locally, the others as before', async () => {
    const pod = await openLimits({ nodes: nodesOf(cluster), password: undefined }, cluster.nodes)
    await cluster.nodes[2]!.signal('SIGKILL')
    const decisions = await Promise.all(
      Array.from({ length: 300 }, (_, i) => {
        const claims = [{ scope: 'key', unit: 'requests', limit: 60, key: `lost-${i}` } as const]
        return pod.limits.take({ group: `lost-${i}`, claims }, `lost-${i}`)
      }),
    )
    expect(decisions.every(({ refusedBy }) => !refusedBy)).toBe(true)
    await pod.close()
  })
})
