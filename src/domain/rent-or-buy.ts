/** What an account's traffic cost bought by the token, against the same traffic on machines rented by the hour. */
import type { MicroUsd } from './money.ts'

export interface Traffic {
  /** Cached ones included. */
  inputTokens: number
  cachedInputTokens: number
  outputTokens: number
  paid: MicroUsd
  /** In which it came. */
  hours: number
}

export interface ServingMachine {
  pricePerHour: MicroUsd
  outputTokensPerSecond: number
}

/** Tokens are of both directions together, in the account's own mix; dollars a million are of those. */
export interface Comparison {
  tokens: number
  tokensPerHour: number
  /** Undefined: there were no tokens. */
  boughtPerMillion: MicroUsd | undefined
  boughtPerMonth: MicroUsd
  /** What one machine can do in this mix. */
  capacityPerHour: number
  /** So many carry the average: peaks wait, or take more of them. */
  machines: number
  /** 0-1, of all machines together. */
  utilisation: number
  /** At that utilisation; undefined: there were no tokens. */
  rentedPerMillion: MicroUsd | undefined
  rentedPerMillionBusy: MicroUsd
  rentedPerMonth: MicroUsd
  /** From so many tokens an hour on one machine costs no more; undefined: never, since it cannot do so many. */
  breakEvenPerHour: number | undefined
  /** So many pay; what they cannot carry is bought. */
  worthRenting: number
  bestPerMonth: MicroUsd
}

export const hoursPerMonth = 720
/** Reading goes so much faster than writing; what is cached is not read again. */
const readingSpeed = 10
/** Of an account without traffic of its own: three tokens are read for one that is written. */
const usualMix = { inputTokens: 3, cachedInputTokens: 0, outputTokens: 1 }

export function compare(traffic: Traffic, machine: ServingMachine): Comparison {
  const tokens = traffic.inputTokens + traffic.outputTokens
  const tokensPerHour = tokens / traffic.hours
  const capacityPerHour = 3_600 * machine.outputTokensPerSecond * tokensForOne(tokens > 0 ? traffic : usualMix)
  const machines = Math.max(1, Math.ceil(tokensPerHour / capacityPerHour))
  const perHour = machines * machine.pricePerHour
  const perToken = tokens > 0 ? traffic.paid / tokens : undefined
  const breakEven = perToken ? machine.pricePerHour / perToken : Number.POSITIVE_INFINITY
  // All that are busy, and one more where it is busy enough.
  const full = Math.floor(tokensPerHour / capacityPerHour)
  const rest = tokensPerHour - full * capacityPerHour
  const worthRenting = breakEven > capacityPerHour ? 0 : full + (rest >= breakEven ? 1 : 0)
  const bought = Math.max(0, tokensPerHour - worthRenting * capacityPerHour) * (perToken ?? 0)
  return {
    tokens,
    tokensPerHour,
    boughtPerMillion: perToken === undefined ? undefined : Math.round(perToken * 1e6),
    boughtPerMonth: Math.round((traffic.paid / traffic.hours) * hoursPerMonth),
    capacityPerHour,
    machines,
    utilisation: tokensPerHour / (machines * capacityPerHour),
    rentedPerMillion: tokens > 0 ? Math.round((perHour / tokensPerHour) * 1e6) : undefined,
    rentedPerMillionBusy: Math.round((machine.pricePerHour / capacityPerHour) * 1e6),
    rentedPerMonth: perHour * hoursPerMonth,
    breakEvenPerHour: breakEven <= capacityPerHour ? Math.ceil(breakEven) : undefined,
    worthRenting,
    bestPerMonth: Math.round((worthRenting * machine.pricePerHour + bought) * hoursPerMonth),
  }
}

/** How many tokens of a mix take as long as one that is written. */
function tokensForOne({ inputTokens, cachedInputTokens, outputTokens }: typeof usualMix): number {
  const read = Math.max(0, inputTokens - cachedInputTokens)
  // All cached and nothing written would take no time at all.
  const work = Math.max(outputTokens + read / readingSpeed, (inputTokens + outputTokens) / (10 * readingSpeed))
  return (inputTokens + outputTokens) / work
}
