/**
 * Guard rails: seventeen sliding windows over what an account has spent. One row of sums by the minute is read at
 * seventeen lengths; a window of 5 minutes is the minute under way and the four before it.
 */
import type { MicroUsd } from './money.ts'

export const windowMinutes = {
  '5min': 5,
  '15min': 15,
  '30min': 30,
  '60min': 60,
  '90min': 90,
  '120min': 120,
  '240min': 240,
  '300min': 300,
  '360min': 360,
  '400min': 400,
  '460min': 460,
  '520min': 520,
  '640min': 640,
  '700min': 700,
  '1440min': 1_440,
  '48h': 2_880,
  '72h': 4_320,
} as const
export type WindowName = keyof typeof windowMinutes
export const windowNames = Object.keys(windowMinutes) as readonly WindowName[]
export const longestWindowMinutes = Math.max(...Object.values(windowMinutes))

/** What may be spent within each; one that is not named is not limited. */
export type WindowLimits = Partial<Record<WindowName, MicroUsd>>

/** Only the windows that are named; null = not limited. */
export type WindowChanges = { [name in WindowName]?: MicroUsd | null | undefined }

/** By the minute since 1970, in any order. A minute that is not there is one without spending. */
export type SpentByMinute = ReadonlyMap<number, MicroUsd>

export interface WindowState {
  name: WindowName
  limit: MicroUsd | undefined
  spent: MicroUsd
  /** The minute in which the oldest of it leaves the window; undefined = nothing is spent. */
  freesAtMinute: number | undefined
}

/** The stricter of the two, window by window: an account may only set its own below the operator's. */
export function strictest(a: WindowLimits, b: WindowLimits): WindowLimits {
  const both: WindowLimits = {}
  for (const name of windowNames) {
    const limit = Math.min(a[name] ?? Infinity, b[name] ?? Infinity)
    if (limit < Infinity) both[name] = limit
  }
  return both
}

export function windowStates(spent: SpentByMinute, limits: WindowLimits, nowMinute: number): WindowState[] {
  const rows = [...spent].filter(([, amount]) => amount > 0).sort(([a], [b]) => a - b)
  return windowNames.map((name) => {
    const within = rows.filter(([minute]) => minute > nowMinute - windowMinutes[name] && minute <= nowMinute)
    return {
      name,
      limit: limits[name],
      spent: within.reduce((sum, [, amount]) => sum + amount, 0),
      freesAtMinute: within[0] && within[0][0] + windowMinutes[name],
    }
  })
}

export interface Blocked {
  window: WindowName
  limit: MicroUsd
  spent: MicroUsd
  asked: MicroUsd
  /** The first minute in which `asked` fits, if nothing else is spent; undefined = it is more than the whole window. */
  freesAtMinute: number | undefined
}

/** The window that would be passed; of several, the one that stays so for the longest. */
export function blockedBy(
  spent: SpentByMinute,
  limits: WindowLimits,
  nowMinute: number,
  asked: MicroUsd,
): Blocked | undefined {
  let worst: Blocked | undefined
  for (const { name, limit, spent: sum } of windowStates(spent, limits, nowMinute)) {
    if (limit === undefined || sum + asked <= limit) continue
    const freesAtMinute = asked > limit ? undefined : firstFit(spent, nowMinute, windowMinutes[name], limit - asked)
    if (worst && (worst.freesAtMinute ?? Infinity) >= (freesAtMinute ?? Infinity)) continue
    worst = { window: name, limit, spent: sum, asked, freesAtMinute }
  }
  return worst
}

/** When the spending of the window has sunk to `room`. */
function firstFit(spent: SpentByMinute, nowMinute: number, minutes: number, room: MicroUsd): number {
  const within = [...spent].filter(([minute]) => minute > nowMinute - minutes).sort(([a], [b]) => a - b)
  let left = within.reduce((sum, [, amount]) => sum + amount, 0)
  for (const [minute, amount] of within) {
    left -= amount
    if (left <= room) return minute + minutes
  }
  return nowMinute
}
