// Plots with their numbers beside them: what a plot shows is in a table or in words, too.
import { h, keyedTable } from './dom.js'

const svgNs = 'http://www.w3.org/2000/svg'
function svg(tag, attributes) {
  const element = document.createElementNS(svgNs, tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  return element
}

const width = 600
const height = 160

/** Each day of a month (`2026-11`), with what `valueAt(day)` says of it. */
export function daysOf(month, valueAt) {
  const [year, number] = month.split('-').map(Number)
  const count = new Date(Date.UTC(year, number, 0)).getUTCDate()
  return Array.from({ length: count }, (_, i) => {
    const name = `${month}-${String(i + 1).padStart(2, '0')}`
    return { name, value: valueAt(name) }
  })
}

/** The plot between its greatest value, zero, and what its two ends are called. */
function framed(label, node, { most, from, to }) {
  return h(
    'figure',
    { class: 'plot' },
    h('figcaption', {}, label),
    h('p', { class: 'most' }, most),
    node,
    h('p', { class: 'ends' }, h('span', {}, from), h('span', {}, to)),
  )
}

const frame = (label) =>
  svg('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label })

/** `points`: `{ name, value }`, in their order. */
export function columns(label, points, words) {
  const most = Math.max(...points.map(({ value }) => value), 0)
  if (most === 0) return h('p', { class: 'empty' }, 'Nothing in this month.')
  const node = frame(label)
  const step = width / points.length
  points.forEach(({ name, value }, i) => {
    const tall = most > 0 ? Math.max((value / most) * height, value > 0 ? 2 : 0) : 0
    const bar = svg('rect', { x: i * step + step * 0.1, y: height - tall, width: step * 0.8, height: tall })
    const title = svg('title', {})
    title.textContent = `${name}: ${words(value)}`
    bar.append(title)
    node.append(bar)
  })
  return framed(label, node, { most: words(most), from: points[0].name, to: points.at(-1).name })
}

/** `series`: `{ name, points: [{ at: ms, value }] }`, at most four, told apart by colour and dashes. */
export function lines(label, series, { words, moment }) {
  const all = series.flatMap(({ points }) => points)
  if (all.length === 0) return h('p', { class: 'empty' }, 'Nothing is known yet.')
  const [first, last] = [Math.min(...all.map(({ at }) => at)), Math.max(...all.map(({ at }) => at))]
  const most = Math.max(...all.map(({ value }) => value), Number.MIN_VALUE)
  const node = frame(
    `${label}: ${series.map(({ name, points }) => `${name} now ${words(points.at(-1).value)}`).join(', ')}`,
  )
  series.forEach(({ points }, i) => {
    const places = points.map(({ at, value }) => {
      const x = last > first ? ((at - first) / (last - first)) * width : width
      return `${x.toFixed(1)},${(height - (value / most) * (height - 4)).toFixed(1)}`
    })
    // A single point would be no line.
    if (first === last) places.unshift(`0,${places[0].split(',')[1]}`)
    node.append(svg('polyline', { points: places.join(' '), class: `line-${i}` }))
  })
  const legend = h(
    'ul',
    { class: 'legend' },
    series.map(({ name, points }, i) =>
      h('li', {}, h('span', { class: `key-${i}` }), `${name}: ${words(points.at(-1).value)}`),
    ),
  )
  return h('div', {}, framed(label, node, { most: words(most), from: moment(first), to: moment(last) }), legend)
}

/** A table of the dearest, each with a bar as long as its part of the first. `columns` as of a table, after those two. */
export function ranking({ caption, empty, name, value, words, columns: more = [] }) {
  let most = 0
  const bar = () => h('span', { class: 'part' }, h('span', { class: 'bar' }))
  const table = keyedTable({
    caption,
    empty,
    key: (row) => row.group,
    columns: [
      { name, text: (row) => row.group, class: () => 'id' },
      { name: 'Cost', number: true, text: (row) => words(value(row)) },
      {
        name: 'Part',
        actions: () => [bar()],
        refresh: (cell, row) => {
          cell.querySelector('.bar').style.width = `${most > 0 ? (100 * value(row)) / most : 0}%`
        },
      },
      ...more,
    ],
  })
  return {
    node: table.node,
    update(rows) {
      most = Math.max(...rows.map(value), 0)
      table.update(rows)
    },
  }
}
