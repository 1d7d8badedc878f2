/** What an account has paid for machines, beside what the market charges for them. */
import { formatUsd, microUsd, parseUsd } from '../../src/domain/money.ts'
import { parseLabel } from '../../src/domain/rental.ts'
import type { Transcript } from './transcript.ts'
import type { Market } from './walk.ts'

interface Page {
  /** Amounts in dollars, with a sign. */
  transactions: { instance_id?: string; amount: string }[]
  next_cursor?: string
}

/** `had`: dollars that there were before. Machines are all that was paid for since. */
export async function compareBills({ ask, read, tell, check }: Transcript, market: Market, had: string): Promise<void> {
  const path = '/api/v1/billing/transactions?limit=200'
  const paid = new Map<string, number>()
  for (let page: Page = (await ask(path)).body; ; page = (await read(`${path}&cursor=${page.next_cursor}`)).body) {
    for (const { instance_id, amount } of page.transactions) {
      if (instance_id) paid.set(instance_id, (paid.get(instance_id) ?? 0) - microUsd(Number(amount)))
    }
    if (page.next_cursor === undefined) break
  }
  const bill = market.bill().map(({ label, microUsd }) => ({ id: parseLabel(label)?.rentalId ?? label, microUsd }))
  for (const { id, microUsd } of bill) {
    tell(`${id}: $${formatUsd(paid.get(id) ?? 0)} paid, $${formatUsd(microUsd)} charged by the market`)
  }
  const isEqual = bill.length === paid.size && bill.every(({ id, microUsd }) => paid.get(id) === microUsd)
  const total = [...paid.values()].reduce((sum, each) => sum + each, 0)
  check('every machine costs what the market charges, to the micro-dollar', isEqual, `$${formatUsd(total)}`)
  const { available, held } = (await ask('/api/v1/billing/balance')).body
  tell(`$${available} is left, $${held} held`)
  const spent = (parseUsd(had) ?? Number.NaN) - (parseUsd(available) ?? Number.NaN)
  check('nothing else was paid for, and nothing is held', spent === total && held === '0.00', `$${had} - $${available}`)
}
