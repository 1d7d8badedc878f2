import { beforeAll, expect, it } from 'vitest'
import type { Bug } from '../../bench/rentals/bugs.ts'
import { runHistory } from '../../bench/rentals/history.ts'
import { loadOffers, type Offered } from '../../bench/rentals/offers.ts'

let offered: Offered
beforeAll(async () => {
  offered = await loadOffers()
})

/** The violations of so many histories, each with its seed. */
async function violationsOf(first: number, histories: number, bug?: Bug): Promise<string[]> {
  const found: string[] = []
  for (let seed = first; seed < first + histories; seed++) {
    for (const each of (await runHistory({ seed, offered, bug })).violations) found.push(`${seed}: ${each}`)
  }
  return found
}

it('whatever happens, nothing is rented twice, nothing is left running and the books are the bill', async () => {
  expect(await violationsOf(1, 150)).toEqual([])
})

it('the same from a seed of its own', async () => {
  const seed = Math.floor(Math.random() * 1e9)
  console.log(`rental histories from seed ${seed}`)
  expect(await violationsOf(seed, 20)).toEqual([])
})

it('one seed is one history', async () => {
  const [first, second] = [await runHistory({ seed: 7, offered }), await runHistory({ seed: 7, offered })]
  expect(second.tally).toEqual(first.tally)
})

const signs: Record<Bug, RegExp> = {
  sends_creates_again: /duplicate: 2 machines/,
  reaps_nothing: /orphan: /,
  forgets_the_bill: /bill: vastai charges/,
  buys_hours_again: /bill: ionet charges/,
  charges_too_much: /bill: vastai charges/,
  believes_destroy: /orphan: /,
  shares_hours: /bill: ionet charges/,
}
it.each(Object.entries(signs) as [Bug, RegExp][])('finds a bug that %s', async (bug, sign) => {
  let found: string[] = []
  for (let seed = 1; seed <= 500 && !found.some((each) => sign.test(each)); seed++) {
    found = await violationsOf(seed, 1, bug)
  }
  expect(found).toContainEqual(expect.stringMatching(sign))
})
