/** `results/latest.html`: the figures of `npm run bench` as a page to look at, with no script and nothing from elsewhere. */
import type { Row, SectionBars, Verdict } from './rows.ts'
import type { Spread } from './statistics.ts'

export interface BenchResult {
  load_before: number
  rounds: number
  seconds: number
  rows: readonly Row[]
  added_ms: { p50: Spread; p99: Spread } | undefined
  targets: readonly Verdict[]
  sections: readonly SectionBars[]
}

const plot = { left: 190, width: 520, line: 26, right: 120 }

export function report(result: BenchResult): string {
  const { rows, targets, sections, load_before: load, rounds, seconds } = result
  const others = rows.filter(({ system }) => system !== 'gateway')
  const verdicts = [
    ...targets.map(({ name, want, got, met }) => ['bench', name, want, got.toFixed(2), met ? 'met' : 'MISSED']),
    ...sections.flatMap(({ section, bars }) =>
      bars.map(({ name, want, got, met }) => [section, name, want, got, want === '' ? '' : met ? 'met' : 'MISSED']),
    ),
  ]
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>npm run bench</title>
<style>
:root { color-scheme: light dark; --ink: light-dark(#1c1c1c, #e8e8e8); --faint: light-dark(#ddd, #444); --ours: light-dark(#0072b2, #56b4e9); --bad: light-dark(#b03000, #ff9a6a) }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 64rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto } th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--faint); white-space: nowrap }
td.missed { color: var(--bad); font-weight: 600 } svg { max-width: 100%; height: auto } text { font: 12px system-ui, sans-serif; fill: var(--ink) }
</style>
<h1>The gateway beside other systems</h1>
<p>${rounds} rounds of ${seconds} s in turn on one core; load average before ${load}. How it is measured: <code>bench/README.md</code>.</p>
<h2>Against each system</h2>
<p>Above 1 the gateway is better. The mark is the median of the rounds, the line their range.</p>
${ratios(others)}
<h2>CPU for a request</h2>
${bars(rows.map((row) => ({ name: `${row.shape}, ${row.system}`, value: row.cpu_s_per_1000 * 1_000, told: `${(row.cpu_s_per_1000 * 1_000).toFixed(1)} µs`, isOurs: row.system === 'gateway' })))}
<h2>What was wanted</h2>
${grid(['part', 'what', 'want', 'got', ''], verdicts)}
<h2>What became of the requests</h2>
${grid(
  ['shape', 'system', 'sent', 'answered', 'refused', 'failed', 'p50 ms', 'p99 ms', 'p99.9 ms', 'RSS MiB'],
  rows.map((row) => [
    ...[row.shape, row.system, row.sent, row.answered, row.refused, row.failed].map(String),
    ...[row.p50_ms, row.p99_ms, row.p999_ms].map((ms) => ms.toFixed(2)),
    row.rss_mib.toFixed(0),
  ]),
)}
`
}

/** On a scale of doublings: half and twice are as far from 1. */
function ratios(rows: readonly Row[]): string {
  const all = rows.flatMap(({ ratio }) => [ratio.min, ratio.max]).filter((value) => value > 0 && Number.isFinite(value))
  if (all.length === 0) return '<p>No other system was measured.</p>'
  const low = Math.floor(Math.log2(Math.min(0.5, ...all)))
  const high = Math.ceil(Math.log2(Math.max(2, ...all)))
  const x = (value: number) => plot.left + ((Math.log2(value) - low) / (high - low)) * plot.width
  const height = plot.line * (rows.length + 1)
  const ticks = Array.from({ length: high - low + 1 }, (_, i) => 2 ** (low + i)).map(
    (value) =>
      `<line x1="${x(value)}" x2="${x(value)}" y1="0" y2="${height - plot.line}" stroke="var(--faint)" stroke-width="${value === 1 ? 2 : 1}"/><text x="${x(value)}" y="${height - 8}" text-anchor="middle">${value}</text>`,
  )
  const marks = rows.map(({ shape, system, ratio }, i) => {
    const y = plot.line * (i + 0.5)
    return `<text x="0" y="${y + 4}">${text(`${shape}, ${system}`)}</text><line x1="${x(ratio.min)}" x2="${x(ratio.max)}" y1="${y}" y2="${y}" stroke="var(--ours)" stroke-width="2"/><circle cx="${x(ratio.median)}" cy="${y}" r="5" fill="var(--ours)"/><text x="${plot.left + plot.width + 12}" y="${y + 4}">${ratio.median.toFixed(2)}</text>`
  })
  return picture(height, [...ticks, ...marks], 'the gateway against each system')
}

function bars(all: readonly { name: string; value: number; told: string; isOurs: boolean }[]): string {
  if (all.length === 0) return '<p>No shape was measured.</p>'
  const most = Math.max(...all.map(({ value }) => value))
  const drawn = all.map(({ name, value, told, isOurs }, i) => {
    const y = plot.line * i
    const width = (value / most) * plot.width
    return `<text x="0" y="${y + 17}">${text(name)}</text><rect x="${plot.left}" y="${y + 4}" width="${width}" height="${plot.line - 8}" fill="${isOurs ? 'var(--ours)' : 'var(--faint)'}"/><text x="${plot.left + width + 8}" y="${y + 17}">${text(told)}</text>`
  })
  return picture(plot.line * all.length, drawn, 'CPU for a request')
}

const picture = (height: number, parts: readonly string[], label: string) =>
  `<svg viewBox="0 0 ${plot.left + plot.width + plot.right} ${height}" role="img" aria-label="${label}">${parts.join('')}</svg>`

const grid = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  `<table><tr>${head.map((cell) => `<th>${text(cell)}</th>`).join('')}</tr>${rows
    .map(
      (row) =>
        `<tr>${row.map((cell) => `<td${cell === 'MISSED' ? ' class="missed"' : ''}>${text(cell)}</td>`).join('')}</tr>`,
    )
    .join('')}</table>`

const text = (value: string) =>
  value.replace(/[&<>"]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign]!)
