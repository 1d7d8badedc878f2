/** What the guide's components cost a month, in US dollars, and what that makes of its tables. */

/** As the guide has them: prices of nobody's list, so put your own in. */
export const monthly = { pod: 50, database: 400, redis: 100, loadBalancer: 50 }
/** Whatever the number of pods. */
export const fixedMonthly = monthly.database + monthly.redis + monthly.loadBalancer

export const costPerMonth = (pods: number, podUsd = monthly.pod) => pods * podUsd + fixedMonthly

/** @param share of a customer's payment that is left after what the payment itself costs */
export const breakEven = (pods: number, priceUsd: number, share = 1) =>
  Math.ceil(costPerMonth(pods) / (priceUsd * share))

const whole = (usd: number) => `$${Math.round(usd).toLocaleString('en')}`
const exact = (usd: number) => `$${usd.toFixed(usd < 1 ? 3 : 2)}`

/** The guide's averages and limits. */
const fleets = { min: 3, average: 10, max: 50 }

/** Of the guide's "Cost Analysis", each line with its arithmetic. */
export function costTable(): string {
  const pods = (name: string, count: number) =>
    `| ${name} pods (${count}) | ${whole(count * monthly.pod)} | ${count} x $${monthly.pod} |`
  const total = (name: string, count: number) =>
    `| Total (${name}) | ${whole(costPerMonth(count))} | ${count} x $${monthly.pod} + $${fixedMonthly} |`
  return [
    '| component | a month | arithmetic |',
    '| --- | --- | --- |',
    pods('Min', fleets.min),
    pods('Avg', fleets.average),
    pods('Max', fleets.max),
    `| Database | $${monthly.database} | given |`,
    `| Redis | $${monthly.redis} | given |`,
    `| Load balancer | $${monthly.loadBalancer} | given |`,
    total('min', fleets.min),
    total('avg', fleets.average),
    total('peak, all month', fleets.max),
  ].join('\n')
}

/** Of its "Cost Per Customer" and "Break-even". */
export function customerTable(): string {
  const row = (customers: number, pods: number) =>
    `| ${customers.toLocaleString('en')} | ${pods} | ${whole(costPerMonth(pods))} | ${exact(costPerMonth(pods) / customers)} |`
  return [
    '| customers | pods | a month | each |',
    '| --- | --- | --- | --- |',
    row(1_000, fleets.average),
    row(10_000, fleets.average),
    row(100_000, fleets.average),
    row(100_000, fleets.max),
  ].join('\n')
}

export function breakEvenTable(): string {
  const prices = [1, 5, 10]
  const row = (pods: number) =>
    `| ${pods} | ${whole(costPerMonth(pods))} | ${prices.map((price) => breakEven(pods, price).toLocaleString('en')).join(' | ')} |`
  return [
    `| pods | a month | ${prices.map((price) => `at $${price}`).join(' | ')} |`,
    '| --- | --- | --- | --- | --- |',
    ...Object.values(fleets).map(row),
  ].join('\n')
}
