/** The shortest time between two calls of one kind, as a market that refuses faster callers counts it. */
export function createIntervals(now: () => number) {
  const last = new Map<string, number>()
  return {
    /** False: too soon after the last that was let through. */
    take(kind: string, seconds: number): boolean {
      const before = last.get(kind)
      if (before !== undefined && now() - before < seconds * 1000) return false
      last.set(kind, now())
      return true
    },
  }
}
