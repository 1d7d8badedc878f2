/** From samples to the rows, the targets and the tables that people and `results/latest.json` get. */
import type { Bar } from './bars.ts'
import { rate, type Sample, summarize } from './measure.ts'
import { type Shape, targets } from './shapes.ts'
import { roundRatios, type Spread, spread, total } from './statistics.ts'
import type { SystemName } from './systems.ts'

export interface Row {
  shape: string
  system: SystemName
  /** The gateway against this system; above 1 the gateway is better. */
  ratio: Spread
  judged_by: 'throughput' | 'cpu'
  ratio_throughput: Spread
  ratio_cpu: Spread
  per_second: number
  unit: string
  sent: number
  answered: number
  refused: number
  failed: number
  refused_by_code: Record<string, number>
  failed_by_kind: Record<string, number>
  p50_ms: number
  p99_ms: number
  p999_ms: number
  cpu_s_per_1000: number
  rss_mib: number
  other_core_busy: number
  strangers_share: number
}

/** Above this the generator or the provider is the limit, and throughput says nothing about the server. */
const busyLimit = 0.8
/** Above this the server did not have its core to itself, with the same effect. */
const strangersLimit = 0.1

export type Samples = ReadonlyMap<SystemName, readonly Sample[]>

export function rowsOf(shape: { name: string; unit: Shape['unit'] }, samples: Samples): Row[] {
  const ours = samples.get('gateway') ?? []
  const own = summarize(ours)
  return [...samples].map(([system, theirs]) => {
    const all = summarize(theirs)
    const ratios = {
      throughput: spread(roundRatios(ours.map(rate), theirs.map(rate))),
      // What the other spends for a request against what the gateway spends.
      cpu: spread(roundRatios(theirs.map(cpu), ours.map(cpu))),
    }
    const disturbed = [all, own].some((each) => each.otherCoreBusy > busyLimit || each.strangersShare > strangersLimit)
    // At a fixed rate throughput is the same for all.
    const judged = shape.name === 'latency' || disturbed ? 'cpu' : 'throughput'
    return {
      shape: shape.name,
      system,
      ratio: ratios[judged],
      judged_by: judged,
      ratio_throughput: ratios.throughput,
      ratio_cpu: ratios.cpu,
      per_second: all.perSecond * shape.unit.perRequest,
      unit: shape.unit.name,
      sent: all.sent,
      answered: all.answered,
      refused: total(all.refused),
      failed: total(all.failed),
      refused_by_code: all.refused,
      failed_by_kind: all.failed,
      p50_ms: all.p50,
      p99_ms: all.p99,
      p999_ms: all.p999,
      cpu_s_per_1000: all.cpuSecondsPer1000,
      rss_mib: all.peakMib,
      other_core_busy: all.otherCoreBusy,
      strangers_share: all.strangersShare,
    }
  })
}

const cpu = (sample: Sample) => sample.cpuSecondsPer1000

/** Latency of the gateway less that of the bare proxy in the same round. */
export function addedLatency(samples: Samples): { p50: Spread; p99: Spread } {
  const added = (pick: (sample: Sample) => number) => {
    const bare = samples.get('undici') ?? []
    return spread((samples.get('gateway') ?? []).map((sample, round) => pick(sample) - pick(bare[round]!)))
  }
  return { p50: added(({ latencyMs }) => latencyMs.p50), p99: added(({ latencyMs }) => latencyMs.p99) }
}

export interface Verdict {
  name: string
  want: string
  got: number
  met: boolean
}

/** A target whose shape was not measured has no verdict. */
export function verdicts(rows: readonly Row[], added: { p50: Spread; p99: Spread } | undefined): Verdict[] {
  return targets.flatMap((target) => {
    const row = rows.find(({ shape, system }) => shape === target.shape && system === target.system)
    const got =
      row?.ratio.median ??
      (target.shape === 'latency' ? added?.[target.name.includes('p99') ? 'p99' : 'p50'].median : undefined)
    if (got === undefined) return []
    const { want, name, unit } = target
    const met = 'atLeast' in want ? got >= want.atLeast : got < want.below
    return [{ name, want: 'atLeast' in want ? `>= ${want.atLeast}${unit}` : `< ${want.below} ${unit}`, got, met }]
  })
}

export function ratioTable(rows: readonly Row[]): string {
  const mark = (row: Row, by: Row['judged_by'], { median: middle, min, max }: Spread) =>
    row.system === 'gateway'
      ? ''
      : `${middle.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})${row.judged_by === by ? ' *' : '  '}`
  return table(
    [
      'shape',
      'gateway against',
      'by throughput',
      'by CPU/request',
      'rate',
      '',
      'CPU s/1000',
      'RSS MiB',
      'other core',
      'strangers',
    ],
    rows.map((row) => [
      row.shape,
      row.system === 'gateway' ? '(itself)' : row.system,
      mark(row, 'throughput', row.ratio_throughput),
      mark(row, 'cpu', row.ratio_cpu),
      Math.round(row.per_second).toLocaleString('en'),
      row.unit,
      row.cpu_s_per_1000.toFixed(4),
      row.rss_mib.toFixed(0),
      `${Math.round(row.other_core_busy * 100)}%`,
      `${Math.round(row.strangers_share * 100)}%`,
    ]),
  )
}

export function outcomeTable(rows: readonly Row[]): string {
  return table(
    ['shape', 'system', 'sent', 'answered', 'refused', 'failed', 'p50 ms', 'p99 ms', 'p99.9 ms'],
    rows.map((row) => [
      row.shape,
      row.system,
      row.sent.toLocaleString('en'),
      row.answered.toLocaleString('en'),
      counts(row.refused_by_code),
      counts(row.failed_by_kind),
      row.p50_ms.toFixed(2),
      row.p99_ms.toFixed(2),
      row.p999_ms.toFixed(2),
    ]),
  )
}

export const verdictTable = (all: readonly Verdict[]) =>
  table(
    ['target', 'want', 'got', ''],
    all.map(({ name, want, got, met }) => [name, want, got.toFixed(2), met ? 'met' : 'MISSED']),
  )

export interface SectionBars {
  section: string
  title: string
  bars: Bar[]
}

export const barTable = (sections: readonly SectionBars[]) =>
  table(
    ['section', 'what', 'want', 'got', ''],
    sections.flatMap(({ section, bars }) =>
      bars.map(({ name, want, got, met }) => [section, name, want, got, want === '' ? '' : met ? 'met' : 'MISSED']),
    ),
  )

const counts = (by: Record<string, number>) =>
  Object.entries(by)
    .map(([name, count]) => `${count} x ${name}`)
    .join(', ') || '0'

/** Columns as wide as their widest cell; figures to the right, words to the left. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const isFigure = head.map((_, column) => rows.every((row) => /^$|^[-\d(]/.test(row[column] ?? '')))
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => (isFigure[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd()
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}
