/** Chance, by a source of its own. */
export function createDice(random: () => number) {
  const between = (low: number, high: number) => low + random() * (high - low)
  return {
    between,
    chance: (of: number) => random() < of,
    /** From `low` to `high`, both included. */
    whole: (low: number, high: number) => Math.floor(between(low, high + 1)),
    /** @throws TypeError where there is nothing to take */
    pick<Item>(items: readonly Item[]): Item {
      if (items.length === 0) throw new TypeError('nothing to pick from')
      return items[Math.floor(random() * items.length)] as Item
    },
    /** One of the names, each as often as its weight says. */
    weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
      const entries = Object.entries(weights) as [Name, number][]
      let left = random() * entries.reduce((sum, [, weight]) => sum + weight, 0)
      for (const [name, weight] of entries) {
        left -= weight
        if (left < 0) return name
      }
      return entries.at(-1)![0]
    },
  }
}

export type Dice = ReturnType<typeof createDice>
