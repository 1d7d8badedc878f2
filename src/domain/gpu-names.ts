/** GPUs by one name, whichever market lists them. */

/** What markets call them, where leaving out the maker's words is not enough. By the words of the name, joined. */
const known: Record<string, string> = {
  a100sxm480gb: 'A100 SXM4',
  a10080gbpcie: 'A100 PCIE',
  a100pcie: 'A100 PCIE',
  h10080gbhbm3: 'H100 SXM',
  h100sxm5: 'H100 SXM',
  h100pcie: 'H100 PCIE',
  rtx4070sti: 'RTX 4070 Ti SUPER',
  rtx4070s: 'RTX 4070 SUPER',
  rtx4080s: 'RTX 4080 SUPER',
  rtx6000ada: 'RTX 6000 Ada',
  rtx5000ada: 'RTX 5000 Ada',
  rtxpro6000s: 'RTX PRO 6000 S',
  v100: 'Tesla V100',
}
const makers = new Set(['nvidia', 'geforce', 'amd', 'radeon'])

const wordsOf = (name: string): string[] => name.split(/[^A-Za-z0-9]+/).filter(Boolean)
const withoutMaker = (words: readonly string[]) => {
  const own = words.filter((word) => !makers.has(word.toLowerCase()))
  return own.length > 0 ? own : [...words]
}
const joined = (words: readonly string[]) => words.join('').toLowerCase()

/** `GeForce RTX 4090`, `RTX_4090` and `RTX 4090` are `RTX 4090`; a name that is not in the table keeps its words. */
export function gpuName(name: string): string {
  const words = withoutMaker(wordsOf(name))
  return known[joined(words)] ?? (words.join(' ') || name)
}

/** Whether what is asked for are whole words of the name: `H100` is in `H100 SXM`, `A100` is not in `A1000`. */
export function hasGpuWords(name: string, asked: string): boolean {
  const words = wordsOf(name)
  const wanted = joined(withoutMaker(wordsOf(asked)))
  if (wanted === '') return false
  const other = joined(wordsOf(gpuName(asked)))
  for (let from = 0; from < words.length; from++) {
    for (let to = from + 1; to <= words.length; to++) {
      const run = joined(words.slice(from, to))
      if (run === wanted || run === other) return true
    }
  }
  return false
}
