import { beforeAll, expect, it } from 'vitest'
import type { Bug } from '../../bench/rentals/bugs.ts'
import { runHistory } from '../../bench/rentals/history.ts'
import { loadOffers, type Offered } from '../../bench/rentals/offers.ts'

/** Some ten seconds in all, on a machine that has nothing else to do. */
const timeout = 240_000
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

it('whatever happens, nothing is rented twice, nothing is left running and the books are the bill', {
  timeout,
}, async () => {
  expect(await violationsOf(1, 150)).toEqual([])
})

it('the same from a seed of its own', { timeout }, async () => {
  const seed = Math.floor(Math.random() * 1e9)
  console.log(`rental histories from seed ${seed}`)
  expect(await violationsOf(seed, 20)).toEqual([])
})

it('a machine that somebody else made, by a dearer offer, costs its tenant what was agreed', async () => {
  expect(await violationsOf(3_005_462, 1)).toEqual([])
})

it('one seed is one history', async () => {
  const [first, second] = [await runHistory({ seed: 7, offered }), await runHistory({ seed: 7, offered })]
  expect(second.tally).toEqual(first.tally)
})

/** What tells of it, and from which seed on it is looked for: some need much to come together. */
const signs: Record<Bug, [sign: RegExp, first: number]> = {
  sends_creates_again: [/duplicate: 2 machines/, 25],
  reaps_nothing: [/orphan: /, 1],
  forgets_the_bill: [/bill: vastai charges/, 1],
  buys_hours_again: [/bill: ionet charges/, 190],
  charges_too_much: [/bill: vastai charges/, 1],
  believes_destroy: [/orphan: /, 1],
  shares_hours: [/bill: ionet charges/, 1],
}
it.each(Object.entries(signs) as [Bug, [RegExp, number]][])(
  'finds a bug that %s',
  { timeout },
  async (bug, [sign, first]) => {
    let found: string[] = []
    for (let seed = first; seed < first + 500 && !found.some((each) => sign.test(each)); seed++) {
      found = await violationsOf(seed, 1, bug)
    }
    expect(found).toContainEqual(expect.stringMatching(sign))
  },
)
