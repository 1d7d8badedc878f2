/**
 * Machines that no rental accounts for. One is destroyed on two independent pieces of evidence alone: the database's word
 * that its rental has ended or has another machine, and the market's, in two lists a minute apart and when asked again.
 * What may be somebody else's is told of, and left alone.
 */

import { formatUsd, type MicroUsd } from '../domain/money.ts'
import { isFinal, parseLabel } from '../domain/rental.ts'
import type { Clock, Log, Metrics, Rentals, Sightings } from '../ports.ts'
import type { Machine, MarketControl } from '../providers/market.ts'
import { instruments } from '../telemetry/instruments.ts'

export interface OrphansOptions {
  clock: Clock
  control: MarketControl
  rentals: Rentals
  sightings: Sightings
  fleet: string
  metrics: Metrics
  log: Log
}

export interface Orphans {
  /** Of one complete list, which began then. */
  consider(strays: readonly Machine[], listBegan: Date): Promise<void>
}

const apartMs = 60_000
const dayMs = 86_400_000
/** After one list; the next follows soon. */
const maxDestroyed = 5
const nobody = new AbortController().signal

export function createOrphans({ clock, control, rentals, sightings, fleet, metrics, log }: OrphansOptions): Orphans {
  const provider = control.name
  /** What the machines destroyed since then would have cost in a day. */
  let saved: MicroUsd = 0
  let savedSince = clock.now()

  /** What the database says of machines, read now, after the list. `rented`: it was begun meanwhile. */
  async function accountFor(
    machines: readonly Machine[],
  ): Promise<(machine: Machine) => 'nobody' | 'rented' | 'unclear'> {
    const ours = machines.flatMap(({ label }) => parseLabel(label) ?? []).filter((parsed) => parsed.fleet === fleet)
    const found = ours.length === 0 ? [] : await rentals.byIds(ours.map(({ rentalId }) => rentalId))
    const byId = new Map(found.map((rental) => [rental.id, rental]))
    return ({ id, label }) => {
      const parsed = parseLabel(label)
      const rental = parsed?.fleet === fleet ? byId.get(parsed.rentalId) : undefined
      if (!rental) return 'unclear'
      const isAnothers = rental.marketId !== undefined && rental.marketId !== id
      return isFinal(rental.state) || isAnothers ? 'nobody' : 'rented'
    }
  }

  /** Asked for by itself; where that does not tell the label, a list of this moment does. */
  async function isConfirmed({ id, label }: Machine): Promise<boolean> {
    const shown = await control.show(id, nobody)
    if (!shown) return false
    if (shown.label !== undefined) return shown.label === label
    return (await control.list(nobody)).some((each) => each.id === id && each.label === label)
  }

  /** False: it is none of ours, or there no longer. */
  async function destroy(machine: Machine): Promise<boolean> {
    if (!(await isConfirmed(machine))) return false
    // Some markets go on showing what they know no more.
    if ((await control.destroy(machine.id, nobody)) === 'gone') return false
    const perHour = machine.pricePerHour ?? 0
    saved += 24 * perHour
    metrics.count(instruments.gpuOrphans, { provider, action: 'destroyed' })
    log.warn('a machine that no rental accounts for was destroyed', {
      provider,
      detail: `${machine.id}, $${formatUsd(perHour)} an hour`,
    })
    return true
  }

  /** One that its market fails at is tried again after the next list; the others need not run on for that long. */
  async function tryToDestroy(machine: Machine): Promise<boolean> {
    return destroy(machine).catch((error) => {
      const fields = { provider, detail: machine.id, error: String(error) }
      log.warn('a machine that no rental accounts for could not be destroyed', fields)
      return false
    })
  }

  function report({ id, label }: Machine) {
    metrics.count(instruments.gpuOrphans, { provider, action: 'reported' })
    const whose = parseLabel(label)?.fleet === fleet ? 'an unknown rental' : 'another owner'
    log.warn('a market lists a machine that no rental accounts for', { provider, detail: `${id}, of ${whose}` })
  }

  function tellSaved() {
    if (clock.now() - savedSince < dayMs) return
    log.info('destroyed machines of nobody', { provider, detail: `$${formatUsd(saved)} a day saved` })
    saved = 0
    savedSince = clock.now()
  }

  return {
    async consider(strays, listBegan) {
      tellSaved()
      const seen = strays.map(({ id, label }) => ({ machineId: id, label, at: listBegan }))
      const known = new Map((await sightings.note(provider, seen)).map((each) => [each.machineId, each]))
      const whoseIs = await accountFor(strays)
      let destroyed = 0
      for (const machine of strays) {
        const sighting = known.get(machine.id)
        const whose = whoseIs(machine)
        if (!sighting || whose === 'rented') continue
        if (whose === 'unclear') {
          if (sighting.times === 1) report(machine)
          continue
        }
        const isOld = sighting.times >= 2 && listBegan.getTime() - sighting.firstSeenAt.getTime() >= apartMs
        if (isOld && destroyed < maxDestroyed && (await tryToDestroy(machine))) destroyed++
      }
    },
  }
}
