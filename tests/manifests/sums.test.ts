/** What becomes of connections when pods are many, and of a number of pods that was set by hand. */
import { beforeAll, describe, expect, test } from 'vitest'
import { fleetShare } from '../../adapters/node/postgres/pools.ts'
import { createHpa } from '../../bench/capacity/hpa.ts'
import { policies } from '../../bench/capacity/policies.ts'
import { loadConfig, maxReplicas } from '../../src/config.ts'
import { find, type KubernetesObject, render, renderComponent } from '../support/manifests.ts'

let objects: KubernetesObject[]
let pooled: KubernetesObject[]

beforeAll(async () => {
  objects = await render('.')
  pooled = await renderComponent('pgbouncer')
}, 120_000)

const configOf = (of: readonly KubernetesObject[]) => {
  const { data } = find(of, 'ConfigMap', 'aiserve-gpuproxy-config')
  return loadConfig({ ...data, DB_HOST: 'db', JWT_SECRET: 'x'.repeat(32) }, () => '')
}

describe('connections to the primary', () => {
  test.each([
    [3, 100, 300],
    [10, 40, 400],
    [50, 8, 400],
    [100, 4, 400],
  ])('%i pods take %i each, %i together', (pods, each, all) => {
    const { DB_MAX_CONNS: max, DB_FLEET_MAX_CONNS: fleetMax } = configOf(objects)
    const share = Math.min(max, fleetShare({ fleetMax, pods: () => pods })())
    expect(share).toBe(each)
    expect(share * pods).toBe(all)
  })

  test('the guide’s sum needs a server that there is not: 50 pods of 100 without the fleet’s limit', () => {
    const share = fleetShare({ fleetMax: 0, pods: () => 50 })()
    expect(Math.min(configOf(objects).DB_MAX_CONNS, share) * 50).toBe(5_000)
  })

  test('through PgBouncer 100 pods ask for more than the server is asked for', () => {
    const config = configOf(pooled)
    expect(config).toMatchObject({ DB_PGBOUNCER: true, DB_FLEET_MAX_CONNS: 0 })
    const pooler = find(pooled, 'Deployment', 'aiserve-gpuproxy-pgbouncer').spec
    const env = Object.fromEntries(
      pooler.template.spec.containers[0].env.map(({ name, value }: { name: string; value?: string }) => [name, value]),
    )
    expect(pooler.replicas * Number(env.DEFAULT_POOL_SIZE)).toBe(400)
    // One of the two alone takes all of them while the other is replaced.
    expect(Number(env.MAX_CLIENT_CONN)).toBeGreaterThanOrEqual(100 * config.DB_MAX_CONNS)
  })
})

test('a maximum of 100 pods is more than the forecast may ask for', () => {
  expect(maxReplicas(configOf(objects))).toBe(50)
})

describe('a number of pods that was set by hand', () => {
  const syncMs = 15_000
  /** Load for so many pods, by the streams that each should have. */
  function play({
    from,
    needed,
    hpa = policies.streams.hpa,
    minutes,
  }: {
    from: number
    needed: number
    hpa?: typeof policies.streams.hpa
    minutes: number
  }) {
    const scaler = createHpa(hpa)
    let replicas = from
    const seen: number[] = []
    for (let nowMs = 3_600_000; nowMs < 3_600_000 + minutes * 60_000; nowMs += syncMs) {
      const samples = { streams_in_flight: { value: (500 * needed) / replicas, atMs: nowMs, windowMs: 60_000 } }
      const pod = {
        phase: 'running' as const,
        ready: true,
        startedAtMs: 0,
        readyChangedAtMs: 0,
        requests: { cpu: 0.2, memory: 1 },
        samples,
      }
      replicas = scaler.sync({ nowMs, replicas, pods: Array.from({ length: replicas }, () => pod), external: {} })
      seen.push(replicas)
    }
    return seen
  }

  test('is kept for the five minutes of the window, and then taken back by two a minute', () => {
    const seen = play({ from: 30, needed: 5, minutes: 20 })
    const kept = seen.findIndex((replicas) => replicas < 30) * syncMs
    // What was recommended before counts as the number that was found.
    expect(kept).toBeGreaterThanOrEqual(300_000 - syncMs)
    expect(kept).toBeLessThanOrEqual(300_000 + syncMs)
    expect(seen.at(-1)).toBeLessThan(10)
    expect(seen.at(-1)).toBeGreaterThanOrEqual(5)
  })

  test('that is too small for the load is gone at the next look', () => {
    expect(play({ from: 3, needed: 6, minutes: 1 })[0]).toBe(6)
  })

  test('stays where the minimum was set instead', () => {
    const hpa = { ...policies.streams.hpa, minReplicas: 30 }
    expect(new Set(play({ from: 3, needed: 5, hpa, minutes: 20 }))).toEqual(new Set([30]))
  })
})
