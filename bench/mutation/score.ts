/** From the runner's report to a table a person can judge: of the faults put into a file, how many its tests noticed. */

/** What is read of `mutation-testing-report-schema`. */
export interface MutationReport {
  files: Record<string, { mutants: { status: string }[] }>
}

export interface Score {
  file: string
  mutants: number
  killed: number
  /** It never came to an end: noticed, too. */
  timedOut: number
  /** No test fails, or none reaches it. */
  survived: number
  percent: number
}

const noticed = { Killed: 'killed', Timeout: 'timedOut', Survived: 'survived', NoCoverage: 'survived' } as const

/** A line for each file. Of a mutant that was not judged nothing can be said: then there is no score. */
export function scoresOf(report: MutationReport): Score[] {
  return Object.entries(report.files)
    .map(([file, { mutants }]) => {
      const count = { killed: 0, timedOut: 0, survived: 0 }
      for (const { status } of mutants) {
        // Its file cannot be loaded any more: no test is needed to see that.
        if (status === 'RuntimeError') continue
        if (!isJudged(status)) throw new Error(`${file} has a mutant that is ${status}`)
        count[noticed[status]]++
      }
      return scored(file, count)
    })
    .toSorted((a, b) => a.file.localeCompare(b.file))
}

const isJudged = (status: string): status is keyof typeof noticed => status in noticed

export function totalOf(name: string, scores: readonly Score[]): Score {
  const sum = (part: 'killed' | 'timedOut' | 'survived') => scores.reduce((total, score) => total + score[part], 0)
  return scored(name, { killed: sum('killed'), timedOut: sum('timedOut'), survived: sum('survived') })
}

function scored(file: string, { killed, timedOut, survived }: Pick<Score, 'killed' | 'timedOut' | 'survived'>): Score {
  const mutants = killed + timedOut + survived
  return { file, mutants, killed, timedOut, survived, percent: (100 * (killed + timedOut)) / mutants }
}

/** Rounded down: 89.96 is not 90. */
const shown = (percent: number) => (Math.floor(percent * 10) / 10).toFixed(1)

export function tableOf(scores: readonly Score[]): string {
  const rows = scores.map(({ file, mutants, killed, timedOut, survived, percent }) =>
    [file, mutants, killed, timedOut, survived, shown(percent)].join(' | '),
  )
  return ['file | mutants | killed | timed out | survived | %', '--- | --: | --: | --: | --: | --:', ...rows]
    .map((row) => `| ${row} |`)
    .join('\n')
}
