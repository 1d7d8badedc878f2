/** One Idempotency-Key rents one machine, also where nobody told what came of the first try. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createMemoryBooks } from '../../adapters/memory/books.ts'
import { createMemoryRentals } from '../../adapters/memory/rentals.ts'

import { microUsd } from '../../src/domain/money.ts'
import { type Rentals, StorageUnavailable } from '../../src/ports.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'

let gateway: TestGateway
/** The database goes away just before it is written down that the machine is there. */
let breaks = false
/** It goes away when rentals were begun. */
let breaksBegun = false
beforeEach(async () => {
  const books = createMemoryBooks({ clock, everyoneHas: microUsd(100) })
  const kept = createMemoryRentals({ clock, books })
  const change: Rentals['change'] = async (seen, to) => {
    if (breaks && to.state === 'starting') throw new StorageUnavailable('gone', { mayHaveRun: true })
    return kept.change(seen, to)
  }
  const begin: Rentals['begin'] = async (...wanted) => {
    const begun = await kept.begin(...wanted)
    if (breaksBegun) throw new StorageUnavailable('gone', { mayHaveRun: true })
    return begun
  }
  const { ledgerStore, credits, statements, guardrails, usageSums } = books
  gateway = await startTestGateway({
    market: { provisioningMs: 20, loadingMs: 20, paced: false },
    ports: { rentals: { ...kept, begin, change }, ledgerStore, credits, statements, guardrails, usageSums },
  })
})
afterEach(() => gateway.close())

const path = '/api/v1/gpu/instances'
async function twoOffers(): Promise<[string, string]> {
  const { offers } = (await (await gateway.get('/api/v1/gpu/offers?provider=vastai&limit=2')).json()) as {
    offers: { id: string }[]
  }
  return [offers[0]!.id, offers[1]!.id]
}
const rent = (offer: string, key: string) =>
  gateway.post(path, { offer_id: offer, image: 'a/b' }, { headers: { 'idempotency-key': key } })
const code = async (response: Response) => ((await response.json()) as { code: string }).code
const machines = () => gateway.sandbox.vastai.machines().filter(({ ending }) => !ending)

test('the database goes away while the market makes it: the same key rents no second one', async () => {
  const [offer, another] = await twoOffers()
  breaks = true
  const first = await rent(offer, 'key-1')
  breaks = false
  expect(first.status).toBe(503)
  expect(machines()).toHaveLength(1)

  const again = await rent(another, 'key-1')
  expect([again.status, await code(again)]).toEqual([422, 'idempotency_mismatch'])
  const same = await rent(offer, 'key-1')
  expect([same.status, await code(same)]).toEqual([409, 'idempotency_outcome_lost'])
  expect(machines()).toHaveLength(1)

  // Another key is another machine.
  expect((await rent(another, 'key-2')).status).toBeLessThan(300)
  expect(machines()).toHaveLength(2)
})

test('the database goes away while a deployment is begun: the same key begins no second one', async () => {
  const deploy = () =>
    gateway.post(
      '/api/v1/gpu/deployments',
      { model: 'llama-3.1-8b', max_price: '5.00', replicas: 2 },
      { headers: { 'idempotency-key': 'key-1' } },
    )
  breaksBegun = true
  const first = await deploy()
  breaksBegun = false
  expect(first.status).toBe(503)
  const again = await deploy()
  expect([again.status, await code(again)]).toEqual([409, 'idempotency_outcome_lost'])
  const { deployments } = (await (await gateway.get('/api/v1/gpu/deployments')).json()) as { deployments: unknown[] }
  expect(deployments).toHaveLength(1)
})
