/**
 * The open connections to one server. Whoever holds a permit takes one, the one that was used last first, so that the
 * others reach their idle timeout; a few are kept warm, since the driver itself knows no minimum.
 */
import type { Clock } from '../../../src/resilience/clock.ts'
import { type Address, type Client, type DriverOptions, openClient } from './driver.ts'

export interface Connections {
  take(): Client
  /** After use. One that was lost, or is of a server that was left, is not kept. */
  putBack(client: Client): void
  /** A further one, for warming up. */
  open(): Client
  /** Ends those that were idle for too long, down to `min`, and those that are more than `max`. */
  sweep(limits: { min: number; max: number }): void
  /** From now on another server is used; what runs at the old one may end. */
  moveTo(address: Address): void
  readonly address: Address | undefined
  readonly size: number
  readonly closed: boolean
  close(options: { timeoutS: number }): Promise<void>
}

export function createConnections(
  options: DriverOptions & { clock: Clock; idleTimeoutS: number },
  first: Address | undefined,
): Connections {
  const { clock, idleTimeoutS } = options
  const clients = new Set<Client>()
  /** Ordered by last use. */
  const idle: Client[] = []
  let outdated = new WeakSet<Client>()
  let address = first
  let closed = false

  const leaveIdle = (client: Client) => {
    const at = idle.indexOf(client)
    if (at >= 0) idle.splice(at, 1)
    return at >= 0
  }
  const open = () => {
    const client = openClient(options, address, {
      forget(lost) {
        clients.delete(lost)
        leaveIdle(lost)
      },
      // By the server, or at the end of its lifetime: in use, the driver makes another by itself.
      onClosed: (ended) => leaveIdle(ended) && ended.giveUp(),
    })
    clients.add(client)
    return client
  }

  return {
    open,
    take: () => idle.pop() ?? open(),
    putBack(client) {
      if (client.isLost || closed) return
      if (outdated.has(client)) return client.giveUp()
      client.idleSince = clock.now()
      idle.push(client)
    },
    sweep({ min, max }) {
      const idleBefore = clock.now() - idleTimeoutS * 1000
      for (let oldest = idle[0]; oldest; oldest = idle[0]) {
        const tooMany = clients.size > max
        const tooOld = clients.size > min && oldest.idleSince < idleBefore
        if (!tooMany && !tooOld) return
        oldest.giveUp()
      }
    },
    moveTo(next) {
      address = next
      outdated = new WeakSet(clients)
      for (const client of [...idle]) client.giveUp()
    },
    get address() {
      return address
    },
    get size() {
      return clients.size
    },
    get closed() {
      return closed
    },
    async close({ timeoutS }) {
      closed = true
      await Promise.all([...clients].map((client) => client.sql.end({ timeout: timeoutS })))
    },
  }
}
