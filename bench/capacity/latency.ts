/**
 * What the gateway adds to an answer, by how busy its core is: as of a queue whose service time is what was measured at
 * little load, up to what was measured at the pod's peak, where admission keeps it.
 */
export interface LatencyModel {
  /** p99 of what is added while the core is nearly idle. */
  idleP99Ms: number
  /** While it is full. */
  fullP99Ms: number
}

/** @param utilisation of the core, 0 to 1 */
export function addedP99Ms({ idleP99Ms, fullP99Ms }: LatencyModel, utilisation: number): number {
  return Math.min(fullP99Ms, idleP99Ms / Math.max(1 - utilisation, 1e-9))
}

export interface LatencyMix {
  /** So many answers were given where the p99 was this. */
  add(p99Ms: number, answers: number): void
  /** Of all together; NaN of none. */
  p99Ms(): number
}

/** Bins are 2 % wide. */
const base = Math.log(1.02)

/** Of parts whose delays are spread exponentially, each about its own p99. */
export function createLatencyMix(): LatencyMix {
  const bins = new Map<number, number>()
  return {
    add(p99Ms, answers) {
      const bin = Math.round(Math.log(p99Ms) / base)
      bins.set(bin, (bins.get(bin) ?? 0) + answers)
    },
    p99Ms() {
      const parts = [...bins].map(([bin, answers]) => ({ p99: Math.exp(bin * base), answers }))
      const all = parts.reduce((sum, { answers }) => sum + answers, 0)
      if (all === 0) return Number.NaN
      const slower = (ms: number) => parts.reduce((sum, { p99, answers }) => sum + answers * 0.01 ** (ms / p99), 0)
      let [low, high] = [0, Math.max(...parts.map(({ p99 }) => p99))]
      for (let i = 0; i < 60; i++) {
        const middle = (low + high) / 2
        if (slower(middle) > 0.01 * all) low = middle
        else high = middle
      }
      return high
    },
  }
}
