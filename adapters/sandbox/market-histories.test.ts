/** Whatever is done to a fake market, its books add up and nothing is rented twice. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { FakeClock } from '../../tests/support/fake-clock.ts'
import { createInProcessVendor } from '../../tests/support/in-process-vendor.ts'
import { createIonet } from './ionet.ts'
import { createVast } from './vast.ts'
import type { Vendor } from './vendor.ts'

type Json = ReturnType<typeof JSON.parse>

/** Asks a vendor in this process. */
function asking(vendor: Vendor, clock: FakeClock) {
  const origin = 'http://market.test'
  const { http } = createInProcessVendor({ origin, vendor, clock, random: () => 0 })
  const signal = new AbortController().signal
  return async (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: object): Promise<Json> => {
    const reply = await http.bytes({
      method,
      origin,
      path,
      headers: {},
      ...(body && { body: JSON.stringify(body) }),
      signal,
      headersTimeoutMs: 1_000,
      idleTimeoutMs: 1_000,
      maxBytes: 10_000_000,
    })
    return JSON.parse(new TextDecoder().decode(reply.body))
  }
}

const steps = (kinds: readonly string[]) =>
  fc.array(
    fc.record({
      kind: fc.constantFrom(...kinds),
      which: fc.nat(5),
      passMs: fc.oneof(fc.nat(5_000), fc.nat(3 * 3_600_000)),
    }),
    { minLength: 5, maxLength: 40 },
  )

const vastKinds = ['rent', 'stop', 'start', 'destroy', 'lose', 'outbid', 'raise', 'duplicate', 'slow', 'prompt']

it('Vast.ai: the charges are the bill, no offer has two machines, and what has ended costs no more', async () => {
  await fc.assert(
    fc.asyncProperty(steps(vastKinds), async (history) => {
      const clock = new FakeClock()
      const vendor = createVast({ clock, paced: false })
      const ask = asking(vendor, clock)
      const { controls } = vendor
      const { offers } = await ask('POST', '/api/v0/bundles/', { limit: 6 })
      const ended = new Map<string, number>()
      for (const { kind, which, passMs } of history) {
        const machines = controls.machines()
        const id = machines[which % Math.max(machines.length, 1)]?.id
        const path = `/api/v0/instances/${id}/`
        if (kind === 'rent') {
          const held = machines.some(({ offerId }) => offerId === String(offers[which].id))
          const answer = await ask('PUT', `/api/v0/asks/${offers[which].id}/`, { image: 'i', disk: 10, label: 'l' })
          expect(answer.success).toBe(!held)
        }
        if (kind === 'slow') controls.setDestroyDelay(60_000)
        if (kind === 'prompt') controls.setDestroyDelay(0)
        if (id !== undefined) {
          if (kind === 'stop' || kind === 'start') {
            await ask('PUT', path, { state: kind === 'stop' ? 'stopped' : 'running' })
          }
          if (kind === 'destroy') expect((await ask('DELETE', path)).success).toBe(true)
          if (kind === 'lose') controls.loseHost(id)
          if (kind === 'outbid') controls.outbid(id)
          if (kind === 'raise') controls.raisePrice(id, 1.5)
          if (kind === 'duplicate' && machines.length < 20) controls.duplicateLabel(id)
        }
        clock.tick(passMs)
        const bill = controls.bill()
        for (const { id, microUsd, ended: isOver } of bill) {
          if (ended.has(id)) expect(microUsd).toBe(ended.get(id))
          if (isOver) ended.set(id, microUsd)
        }
        const held = controls.machines().map(({ offerId }) => offerId)
        expect(new Set(held).size).toBe(held.length)
      }
      const day = { gte: 0, lte: clock.wallNow() / 1000 }
      const { results } = await ask('GET', `/api/v0/charges/?limit=500&select_filters=${JSON.stringify({ day })}`)
      const charged = new Map(results.map(({ source, amount }: Json) => [source, Math.round(amount * 1e6)]))
      expect(charged).toEqual(new Map(controls.bill().map(({ id, microUsd }) => [`instance-${id}`, microUsd])))
    }),
    { numRuns: 100 },
  )
})

it('io.net: what was paid is the bill, and every replica is either free or in use', async () => {
  const root = '/enterprise/v1/io-cloud/caas'
  await fc.assert(
    fc.asyncProperty(steps(['deploy', 'extend', 'terminate', 'lose']), async (history) => {
      const clock = new FakeClock()
      const vendor = createIonet({ clock })
      const ask = asking(vendor, clock)
      const ids: string[] = []
      for (const [index, { kind, which, passMs }] of history.entries()) {
        const id = ids[which % Math.max(ids.length, 1)]
        const isLive = vendor.controls.machines().some((each) => each.id === id)
        if (kind === 'deploy') {
          const { deployment_id } = await ask('POST', `${root}/deploy`, {
            resource_private_name: `n${index}`,
            duration_hours: 1 + which,
            gpus_per_container: 1,
            hardware_id: 158,
            location_ids: [17],
            container_config: { replica_count: 1 + (which % 3), traffic_port: 80 },
            registry_config: { image_url: 'i' },
          })
          if (deployment_id) ids.push(deployment_id)
        }
        if (kind === 'extend') await ask('POST', `${root}/deployment/${id}/extend`, { duration_hours: 1 })
        if (kind === 'terminate') await ask('DELETE', `${root}/deployment/${id}`)
        if (kind === 'lose' && isLive) vendor.controls.loseHost(id!)
        clock.tick(passMs)
        const { data: places } = await ask('GET', `${root}/available-replicas?hardware_id=158&hardware_qty=1`)
        const { data: live } = await ask('GET', `${root}/deployments?page_size=100`)
        const used = live.deployments.reduce((sum: number, { hardware_quantity: n }: Json) => sum + n, 0)
        expect(places.find((place: Json) => place.id === 17).available_replicas + used).toBe(14)
      }
      for (const { id, microUsd } of vendor.controls.bill()) {
        const { data } = await ask('GET', `${root}/deployment/${id}`)
        expect(Math.round(data.amount_paid * 1e6)).toBe(microUsd)
      }
    }),
    { numRuns: 100 },
  )
})
