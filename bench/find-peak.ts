/** What a server can do at most: the rate of answers is doubled until they fall behind, then looked for around the best. */

const firstRate = 50
const behind = 0.85
const around = [0.8, 0.9, 1, 1.1, 1.2]

/** `answered`: the whole answers a second where so many are asked for; `near`: one of those that the peak is taken from. */
export async function findPeak(answered: (perSecond: number, near: boolean) => Promise<number>): Promise<number> {
  let about = 0
  for (let rate = firstRate; ; rate *= 2) {
    const got = await answered(rate, false)
    about = Math.max(about, got)
    if (got < rate * behind) break
  }
  let peak = 0
  for (const times of around) peak = Math.max(peak, await answered(about * times, true))
  return peak
}
