/** How sure a success rate is that was seen so many times. */

/**
 * The one-sided Clopper-Pearson bound: the lowest rate of success under which so few failures of `count` requests are not
 * less likely than 1 - `confidence`. 30,000 requests without a failure, or 47,500 with one, give 99.99 % at 95 %.
 */
export function successAtLeast(count: number, failures: number, confidence = 0.95): number {
  if (!(Number.isInteger(count) && Number.isInteger(failures) && count > 0 && failures >= 0 && failures <= count)) {
    throw new RangeError(`${failures} failures of ${count} requests`)
  }
  if (failures === count) return 0
  let [low, high] = [0, 1]
  // Each step halves what is left of the range: after 60 it is as fine as a double.
  for (let step = 0; step < 60; step++) {
    const rate = (low + high) / 2
    if (atMostFailures(count, failures, 1 - rate) < 1 - confidence) low = rate
    else high = rate
  }
  return low
}

/** P(X <= failures) of a binomial, by the ratio of each term to the one before it. */
function atMostFailures(count: number, failures: number, rate: number): number {
  if (rate <= 0) return 1
  if (rate >= 1) return failures === count ? 1 : 0
  let logTerm = count * Math.log1p(-rate)
  const odds = Math.log(rate) - Math.log1p(-rate)
  let sum = Math.exp(logTerm)
  for (let k = 1; k <= failures; k++) {
    logTerm += Math.log((count - k + 1) / k) + odds
    sum += Math.exp(logTerm)
  }
  return Math.min(1, sum)
}
