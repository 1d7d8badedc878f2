/**
 * Which of several servers is the primary. The driver's own search tries one after the other without end while there is
 * none, for each caller anew; here all are asked at once, by one who looks, and callers fail at once meanwhile.
 */
import type { Clock } from '../../../src/resilience/clock.ts'
import { type Address, type DriverOptions, openClient } from './driver.ts'

interface State {
  standby: boolean
  /** Grows with each promotion. */
  timeline: string | null
}

export const timelineOf = (name: string | null | undefined): number => Number.parseInt(name || '0', 16)

/**
 * The primary among `addresses`; undefined = none answers as one. Of two that think they are (an old primary that was
 * started again after another was promoted) the one of the later timeline is right; one of an earlier timeline than
 * `notBefore` never is, whoever else answers.
 */
export async function findPrimary(
  options: DriverOptions & { clock: Clock },
  addresses: readonly Address[],
  notBefore = 0,
): Promise<{ address: Address; timeline: number } | undefined> {
  const found = await Promise.all(
    addresses.map(async (address) => {
      const state = await ask(options, address).catch(() => undefined)
      return state && !state.standby ? { address, timeline: timelineOf(state.timeline) } : undefined
    }),
  )
  const primaries = found.filter((each) => each !== undefined && each.timeline >= notBefore)
  return primaries.sort((a, b) => b!.timeline - a!.timeline)[0]
}

async function ask(options: DriverOptions & { clock: Clock }, address: Address): Promise<State | undefined> {
  const client = openClient(options, address, { forget() {}, onClosed() {} })
  // A server that accepts and says nothing has this long in all.
  const cancel = options.clock.setTimer(options.connectTimeoutS * 1000, () => client.giveUp())
  try {
    const [state] = await client.sql<State[]>`
      select pg_is_in_recovery() as standby,
        case when not pg_is_in_recovery() then left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) end as timeline`
    return state
  } finally {
    cancel()
    client.giveUp()
  }
}
