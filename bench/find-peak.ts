/** What a server can do at most: the rate of answers is doubled until they fall behind, then looked for around the best. */

const firstRate = 50
const behind = 0.85
const around = [0.8, 0.9, 1, 1.1, 1.2]

/** `answered`: the whole answers a second where so many are asked for. */
export async function findPeak(answered: (perSecond: number) => Promise<number>): Promise<number> {
  let best = 0
  for (let rate = firstRate; ; rate *= 2) {
    const got = await answered(rate)
    best = Math.max(best, got)
    if (got < rate * behind) break
  }
  const first = best
  for (const times of around) best = Math.max(best, await answered(first * times))
  return best
}
