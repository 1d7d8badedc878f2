/** Something over time, a line for each policy, as a picture that needs no library. */
export interface Line {
  name: string
  /** `t` in seconds. */
  points: readonly { t: number; n: number }[]
}

const size = { width: 900, height: 360, left: 40, right: 130, top: 16, bottom: 30 }
/** Told apart by those who see few colours, too (Okabe and Ito). */
const colours = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#d55e00', '#56b4e9', '#000000']

export function plot(lines: readonly Line[], label = 'pods over time'): string {
  const { width, height, left, right, top, bottom } = size
  const lastT = Math.max(1, ...lines.flatMap(({ points }) => points.map(({ t }) => t)))
  const mostN = Math.max(1, ...lines.flatMap(({ points }) => points.map(({ n }) => n)))
  const x = (t: number) => (left + (t / lastT) * (width - left - right)).toFixed(1)
  const y = (n: number) => (height - bottom - (n / mostN) * (height - top - bottom)).toFixed(1)
  const text = (atX: string | number, atY: string | number, said: string, more = '') =>
    `<text x="${atX}" y="${atY}" font-family="sans-serif" font-size="12"${more}>${said}</text>`
  const ticks = [0, 0.25, 0.5, 0.75, 1]
  const grid = ticks.flatMap((share) => [
    `<line x1="${left}" x2="${width - right}" y1="${y(share * mostN)}" y2="${y(share * mostN)}" stroke="#ddd"/>`,
    text(left - 6, y(share * mostN), String(Math.round(share * mostN)), ' text-anchor="end"'),
    text(x(share * lastT), height - 10, `${Math.round((share * lastT) / 60)} min`, ' text-anchor="middle"'),
  ])
  const drawn = lines.flatMap(({ name, points }, i) => {
    const colour = colours[i % colours.length]!
    // A number of pods holds until it changes.
    const told = points.filter(({ n }, at) => at === 0 || at === points.length - 1 || n !== points[at - 1]!.n)
    const steps = told.flatMap(({ t, n }, at) => [
      ...(at === 0 || n === told[at - 1]!.n ? [] : [`${x(t)},${y(told[at - 1]!.n)}`]),
      `${x(t)},${y(n)}`,
    ])
    return [
      `<polyline points="${steps.join(' ')}" fill="none" stroke="${colour}" stroke-width="1.5"/>`,
      text(width - right + 10, top + 14 + 18 * i, name, ` fill="${colour}"`),
    ]
  })
  const body = [`<rect width="${width}" height="${height}" fill="#fff"/>`, ...grid, ...drawn].join('\n')
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">\n${body}\n</svg>\n`
}
