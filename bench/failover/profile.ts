/** The times of a run. `full` is what the sixteen faults are known by; `fast` has every wait cut down alike. */
export interface Profile {
  name: 'full' | 'fast'
  /** What the gateway is told; nothing = its own defaults. */
  env: Record<string, string>
  retryAfterS: number
  wordMs: number
  slowFirstTokenMs: number
  stallMs: number
  silenceMs: number
  outageMs: number
  /** Longest time for an answer whose first provider keeps silent from the start. */
  maxSilentMs: number
  /** The same where only the first token is late. */
  maxSlowStartMs: number
  /** Longest time for an answer that stalled on the way. */
  maxStallMs: number
  /** Longest time for an answer that lacks its `[DONE]`. */
  maxNoDoneMs: number
  /** How soon after the outage the first provider must serve again. */
  maxReturnMs: number
  /** Longest time for one of several callers at once whose first provider refuses them all. */
  maxCrowdMs: number
  /** Within this time tries at a failing provider are counted. */
  burstMs: number
  /** A call that takes longer than this hangs. */
  limitMs: number
}

const full: Profile = {
  name: 'full',
  env: {},
  retryAfterS: 2,
  wordMs: 15,
  slowFirstTokenMs: 20_000,
  stallMs: 30_000,
  silenceMs: 120_000,
  outageMs: 60_000,
  maxSilentMs: 100_000,
  maxSlowStartMs: 15_000,
  maxStallMs: 25_000,
  maxNoDoneMs: 8_000,
  maxReturnMs: 30_000,
  maxCrowdMs: 5_000,
  burstMs: 3_000,
  limitMs: 150_000,
}

/** Retry-After has whole seconds: 1 is as short as it gets. */
const fast: Profile = {
  name: 'fast',
  env: {
    HEADERS_TIMEOUT: '3750ms',
    FIRST_TOKEN_TIMEOUT: '1250ms',
    STREAM_IDLE_TIMEOUT: '1875ms',
    CIRCUIT_BREAKER_TIMEOUT: '3750ms',
  },
  retryAfterS: 1,
  wordMs: 2,
  slowFirstTokenMs: 2_500,
  stallMs: 3_750,
  silenceMs: 15_000,
  outageMs: 7_500,
  maxSilentMs: 12_500,
  maxSlowStartMs: 2_400,
  maxStallMs: 3_500,
  maxNoDoneMs: 8_000,
  maxReturnMs: 5_000,
  maxCrowdMs: 3_500,
  burstMs: 3_000,
  limitMs: 20_000,
}

export const profiles = { full, fast }
