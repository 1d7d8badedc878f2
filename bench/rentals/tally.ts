/** How often things have happened, by name. */
export type Tally = Map<string, number>

export const count = (tally: Tally, name: string, by = 1): void => void tally.set(name, (tally.get(name) ?? 0) + by)

export function addTo(sum: Tally, tally: Tally): void {
  for (const [name, n] of tally) count(sum, name, n)
}
