/** How long a value may be answered, reckoned once when it is taken in: an answer then costs one comparison. */

export interface FreshnessOptions {
  /** Answered without a thought for this long, in ms; each value a tenth more or less, so that pods do not move in step. */
  freshMs: number
  /** After that, answered at once and renewed in the background, for this long. @default 0 */
  staleWhileRevalidateMs?: number | undefined
  /** Answered when a load fails, until this long after the fresh time. @default 0 */
  staleIfErrorMs?: number | undefined
  /** Longest time in memory without asking again, whatever the others say. @default no limit */
  localTtlMs?: number | undefined
}

/** On the pod's own clock that never steps. */
export interface Freshness {
  loadedAt: number
  tookMs: number
  /** From here on one who asks may renew it, though it is fresh. */
  earlyFrom: number
  /** When its freshness is over by its age. */
  expiresAt: number
  freshUntil: number
  staleUntil: number
  coverUntil: number
  /** The pod's own time with it is over. */
  localUntil: number
}

const jitter = 0.1
const negativeMs = 2_000
/** An early renewal sooner than so many load times before the end has a chance of one in 20,000. */
const earlyLoads = 10

export function createFreshness(options: FreshnessOptions, random: () => number) {
  const { freshMs, staleWhileRevalidateMs = 0, staleIfErrorMs = 0, localTtlMs = Infinity } = options
  if (!(freshMs > 0)) throw new TypeError(`freshMs must be above 0, got ${freshMs}`)
  return {
    /** Longest age at which a value is of any use. */
    lifeMs: (isNegative: boolean) =>
      isNegative ? Math.min(freshMs, negativeMs) : freshMs + Math.max(staleWhileRevalidateMs, staleIfErrorMs),

    of(loadedAt: number, tookMs: number, now: number, isNegative: boolean): Freshness {
      const factor = 1 - jitter + 2 * jitter * random()
      const localUntil = now + localTtlMs
      const freshFor = (isNegative ? Math.min(freshMs, negativeMs) : freshMs) * factor
      const expiresAt = loadedAt + freshFor
      const freshUntil = Math.min(expiresAt, localUntil)
      const staleAt = loadedAt + freshMs + staleWhileRevalidateMs
      const coverAt = loadedAt + freshMs + Math.max(staleWhileRevalidateMs, staleIfErrorMs)
      return {
        loadedAt,
        tookMs,
        earlyFrom: Math.min(expiresAt - earlyLoads * tookMs, freshUntil),
        expiresAt,
        freshUntil,
        localUntil,
        staleUntil: isNegative ? freshUntil : Math.max(freshUntil, Math.min(staleAt, localUntil)),
        coverUntil: isNegative ? freshUntil : Math.max(freshUntil, coverAt),
      }
    },

    /** XFetch (Vattani et al., 2015) with beta 1: the slower the load and the nearer the end, the likelier. */
    isEarly: ({ tookMs, expiresAt }: Freshness, now: number) => now - tookMs * Math.log(1 - random()) >= expiresAt,
  }
}
