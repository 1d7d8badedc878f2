/** Bugs that a history can be given, to see that its checks find them. */
import type { Rentals, Sightings } from '../../src/ports.ts'
import type { MarketControl } from '../../src/providers/market.ts'

interface Parts {
  control: MarketControl
  sightings: Sightings
  rentals: Rentals
}

type Change = { [Part in keyof Parts]?: (part: Parts[Part]) => Parts[Part] }

export const bugs = {
  /** What is not known to have come about is asked for again. */
  sends_creates_again: {
    control: (control) => ({
      ...control,
      async create(order, signal) {
        const first = await control.create(order, signal)
        return first.outcome === 'unknown' ? control.create(order, signal) : first
      },
    }),
  },
  /** No machine is ever seen for the second time. */
  reaps_nothing: { sightings: (sightings) => ({ ...sightings, note: async () => [] }) },
  forgets_the_bill: { control: (control) => ({ ...control, bill: async () => undefined }) },
  /** An hour whose answer was lost is bought again. */
  buys_hours_again: {
    control: (control) => ({
      ...control,
      async extend(id, hours, signal) {
        const first = await control.extend(id, hours, signal)
        return first === 'unknown' ? control.extend(id, hours, signal) : first
      },
    }),
  },
  charges_too_much: { rentals: (rentals) => ({ ...rentals, end: (seen, end) => rentals.end(seen, dearer(end)) }) },
  /** Machines are let go of when it is said that they will be, not when they are gone. */
  believes_destroy: {
    control: (control) => ({ ...control, destroy: async () => 'accepted', show: async () => undefined }),
  },
  /** While one pod buys an hour, others may come to it. */
  shares_hours: {
    rentals: (rentals) => ({
      ...rentals,
      nextHour: (seen, hour, terms) => rentals.nextHour(seen, { ...hour, dueAt: hour.at }, terms),
    }),
  },
} as const satisfies Record<string, Change>
export type Bug = keyof typeof bugs

const dearer: (end: Parameters<Rentals['end']>[1]) => Parameters<Rentals['end']>[1] = (end) =>
  end.settle > 0 ? { ...end, settle: end.settle + 1 } : end

export function withBug<Part extends keyof Parts>(bug: Bug | undefined, name: Part, part: Parts[Part]): Parts[Part] {
  const change: Change = bug === undefined ? {} : bugs[bug]
  return change[name]?.(part) ?? part
}
