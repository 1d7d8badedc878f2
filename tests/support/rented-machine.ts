/** A gateway with a running rental whose machine is the test's own server, and whose state the test may change. */
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { newId } from '../../adapters/node/identity.ts'
import type { Endpoint, Rental, RentalState } from '../../src/domain/rental.ts'
import type { Ports } from '../../src/ports.ts'
import { systemClock as clock } from '../../src/resilience/clock.ts'
import { startTestGateway, type TestGateway, testAccountId, testKeyId } from './gateway.ts'
import { newRental } from './new-rental.ts'
import { createTestRentals } from './test-rentals.ts'

export interface RentedMachine {
  gateway: TestGateway
  server: Server
  /** Of what stands behind `/proxy`. */
  url(path: string, id?: string): string
  /** Another running rental of the account, published as the market says. Answers its id. */
  rent(origin: string): string
  /** Of the test's own machine, as the database has it from now on. */
  change(change: Partial<Pick<Rental, 'state' | 'endpoints'>>): void
  close(): Promise<void>
}

export async function startRentedMachine(
  listener: RequestListener,
  { ports = {} }: { ports?: Partial<Ports> } = {},
): Promise<RentedMachine> {
  const server = createServer({ requestTimeout: 0 }, listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const rented = new Map<string, Rental>()
  const { rentals } = createTestRentals(clock, { accountId: testAccountId })
  const gateway = await startTestGateway({
    ports: {
      rentals: {
        ...rentals,
        find: async (accountId, id) => (accountId === testAccountId ? rented.get(id) : undefined),
        byIds: async (ids) => ids.flatMap((id) => rented.get(id) ?? []),
      },
      ...ports,
    },
  })
  const rent = (origin: string) => {
    const rental = running([{ port: 8000, origin }])
    rented.set(rental.id, rental)
    return rental.id
  }
  const own = rent(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  return {
    gateway,
    server,
    url: (path, id = own) => `${gateway.url}/api/v1/gpu/instances/${id}/proxy${path}`,
    rent,
    change: (change) => void rented.set(own, { ...rented.get(own)!, ...change }),
    async close() {
      await gateway.close()
      server.close()
      server.closeAllConnections()
    },
  }
}

function running(endpoints: readonly Endpoint[]): Rental {
  const at = new Date()
  return {
    ...newRental({ accountId: testAccountId, keyId: testKeyId, id: newId() }),
    ...{ state: 'running' satisfies RentalState, version: 1, marketId: '1', reason: undefined, endpoints, tried: [] },
    ...{ createdAt: at, createSentAt: at, startedAt: at, heardAt: at, endedAt: undefined, dueAt: at, failures: 0 },
    ...{ hour: 0, held: 0, accrued: 0, accruedAt: at, settled: 0, paid: undefined, replacedBy: undefined },
  }
}
