// Elements, and tables whose cells change in place: what has not changed is not touched, so nothing flashes.

export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === false) continue
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else if (name === 'class') element.className = value
    else element.setAttribute(name, value === true ? '' : value)
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null))
  return element
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}

/**
 * `columns`: `{ name, text(row), class?(row), number?, actions?(row, current): Element[] }`. Actions are made once for a
 * row: what they do later goes by `current()`, the row as it is shown then.
 */
export function keyedTable({ caption, columns, key, empty }) {
  const body = h('tbody')
  const nothing = h('p', { class: 'empty' }, empty)
  const table = h(
    'table',
    {},
    h('caption', {}, caption),
    h(
      'thead',
      {},
      h(
        'tr',
        {},
        columns.map(({ name, number }) => h('th', { scope: 'col', class: number ? 'number' : undefined }, name)),
      ),
    ),
    body,
  )
  const node = h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption }, table, nothing)
  const known = new Map()

  function rowOf(row) {
    const held = { row }
    const cells = columns.map(({ number, actions }) => {
      if (!actions) return h('td', { class: number ? 'number' : undefined }, h('span'))
      return h(
        'td',
        {},
        h(
          'span',
          { class: 'group' },
          actions(row, () => held.row),
        ),
      )
    })
    return Object.assign(held, { element: h('tr', {}, cells), cells })
  }

  return {
    node,
    update(rows) {
      nothing.hidden = rows.length > 0
      table.hidden = rows.length === 0
      const seen = new Set()
      rows.forEach((row, index) => {
        const id = key(row)
        seen.add(id)
        let held = known.get(id)
        if (!held) {
          held = rowOf(row)
          known.set(id, held)
        }
        held.row = row
        for (const [i, column] of columns.entries()) {
          if (column.actions) {
            column.refresh?.(held.cells[i], row)
            continue
          }
          const span = held.cells[i].firstChild
          setText(span, String(column.text(row) ?? ''))
          const name = column.class?.(row) ?? ''
          if (span.className !== name) span.className = name
        }
        if (body.children[index] !== held.element) body.insertBefore(held.element, body.children[index] ?? null)
      })
      for (const [id, { element }] of known) {
        if (seen.has(id)) continue
        element.remove()
        known.delete(id)
      }
    },
  }
}

const svgNs = 'http://www.w3.org/2000/svg'
function svg(tag, attributes) {
  const element = document.createElementNS(svgNs, tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  return element
}

/** A line over the latest values. */
export function sparkline(label) {
  const line = svg('polyline', {})
  const node = svg('svg', { viewBox: '0 0 100 30', preserveAspectRatio: 'none', role: 'img', 'aria-label': label })
  node.append(line)
  const values = []
  return {
    node,
    push(value) {
      values.push(value ?? 0)
      if (values.length > 90) values.shift()
      const most = Math.max(...values, Number.MIN_VALUE)
      line.setAttribute(
        'points',
        values.map((v, i) => `${((i / 89) * 100).toFixed(1)},${(28 - (v / most) * 26).toFixed(1)}`).join(' '),
      )
    },
  }
}

export function tile(name, label) {
  const value = h('p', { class: 'value' }, '–')
  const line = label && sparkline(label)
  const node = h('div', { class: 'tile' }, h('p', { class: 'name' }, name), value, line?.node)
  return {
    node,
    set(text, plotted) {
      setText(value, text)
      line?.push(plotted)
    },
  }
}

export function note(text, bad = false) {
  const element = h('p', { class: bad ? 'note bad' : 'note' }, text)
  const notes = document.getElementById('notes')
  notes.append(element)
  while (notes.children.length > 4) notes.firstChild.remove()
  setTimeout(() => element.remove(), 8_000)
}

export const field = (label, control) => h('label', {}, label, control)
export const number = (value, digits = 0) =>
  value === null || value === undefined
    ? '–'
    : value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits })
/** Dollars: to the cent, or as far as it takes where it is less than one. */
export const dollars = (value) => `$${number(Number(value), value > 0 && value < 0.01 ? 6 : 2)}`
export const time = (text) => (text ? new Date(text).toLocaleString('en', { hour12: false }) : '–')
export const bytes = (value) =>
  value < 1024 ? `${value} B` : value < 1048576 ? `${number(value / 1024, 1)} KiB` : `${number(value / 1048576, 1)} MiB`

/** What a form does when it is sent; where that fails, it says so. */
export const submits = (fn) => (event) => {
  event.preventDefault()
  void act('', fn)
}

/** Does what a button is for, once at a time, and says how it went: what `fn` says of it, or `what`; '' says nothing. */
export async function act(what, fn, button) {
  if (button) button.disabled = true
  try {
    const said = (await fn()) ?? what
    if (said) note(said)
  } catch (error) {
    // Whoever has left the page is not told how it went on.
    if (error.name !== 'AbortError') note(error.message, true)
  } finally {
    if (button) button.disabled = false
  }
}
