// What all accounts spend and rent, and what machines cost.
import { get } from './api.js'
import { act, dollars, field, h, keyedTable, number, time } from './dom.js'
import { columns, daysOf, lines, ranking } from './plot.js'

const usd = (value, digits = 4) => `$${number(Number(value), digits)}`
const cost = (row) => Number(row.cost)
const used = [
  { name: 'Requests', number: true, text: (row) => number(row.requests) },
  { name: 'Tokens in', number: true, text: (row) => number(row.input_tokens) },
  { name: 'Tokens out', number: true, text: (row) => number(row.output_tokens) },
]

export function spending({ main, signal }) {
  const thisMonth = new Date().toISOString().slice(0, 7)
  const month = h('input', { name: 'month', type: 'month', required: true, value: thisMonth, max: thisMonth })
  const days = h('div', { class: 'card' })
  const rankings = Object.entries({ account: 'Account', model: 'Model', key: 'Account / key' }).map(
    ([group, name]) => ({
      group,
      title: `By ${group}`,
      table: ranking({
        ...{ caption: `The dearest by ${group}, a hundred at most`, empty: 'Nothing in this month.' },
        ...{ name, value: cost, words: dollars, columns: used },
      }),
    }),
  )
  const load = async (event) => {
    event?.preventDefault()
    const ask = (group) => get(`/api/v1/admin/usage?group_by=${group}&month=${month.value}`, signal)
    const [byDay, ...groups] = await Promise.all(['day', ...rankings.map(({ group }) => group)].map(ask))
    const total = byDay.usage.reduce((sum, row) => sum + cost(row), 0)
    const known = new Map(byDay.usage.map((row) => [row.group, cost(row)]))
    const points = daysOf(byDay.month, (day) => known.get(day) ?? 0)
    days.replaceChildren(
      h('p', { class: 'total' }, `${dollars(total)} in ${byDay.month}`),
      columns('Cost by day', points, dollars),
    )
    groups.forEach(({ usage }, i) => {
      rankings[i].table.update(usage)
    })
  }
  main.append(
    h('p', {}, 'Of all accounts, summed every few minutes.'),
    h(
      'form',
      { class: 'row', onsubmit: (event) => act('', () => load(event)) },
      field('Month (UTC)', month),
      h('button', { type: 'submit' }, 'Show'),
    ),
    h('h2', {}, 'By day'),
    days,
    ...rankings.flatMap(({ title, table }) => [h('h2', {}, title), table.node]),
  )
  return load()
}

export function machines({ main, signal }) {
  const model = h('input', { name: 'gpu', value: 'RTX 4090', required: true })
  const prices = h('section', { 'aria-live': 'polite' })
  const more = h('button', { type: 'button', hidden: true }, 'More')
  const sum = h('p', { class: 'total' })
  let rows = []
  let cursor
  const table = keyedTable({
    caption: 'Machines of all accounts, the newest first',
    empty: 'None.',
    key: (row) => row.id,
    columns: [
      { name: 'GPU', text: (row) => `${row.gpu_count} × ${row.gpu_model}` },
      { name: 'State', text: (row) => row.status, class: (row) => `state ${row.status}` },
      { name: 'Market', text: (row) => row.provider },
      { name: 'An hour', number: true, text: (row) => usd(row.price_per_hour) },
      { name: 'So far', number: true, text: (row) => usd(row.cost_so_far) },
      { name: 'Since', text: (row) => time(row.created_at) },
      { name: 'Account', text: (row) => row.account_id, class: () => 'id' },
    ],
  })
  async function load() {
    const page = await get(`/api/v1/admin/instances?limit=50${cursor ? `&cursor=${cursor}` : ''}`, signal)
    rows = [...rows, ...page.instances]
    cursor = page.next_cursor
    more.hidden = cursor === undefined
    const running = rows.filter(({ status }) => status === 'running')
    const hourly = running.reduce((total, row) => total + row.price_per_hour, 0)
    sum.textContent = `${running.length} of the ${rows.length} shown are running, at ${dollars(hourly)} an hour.`
    table.update(rows)
  }
  more.addEventListener('click', () => act('More loaded.', load))
  const look = async () => {
    const found = await get(`/api/v1/gpu/prices?days=30&gpu_model=${encodeURIComponent(model.value)}`, signal)
    const byGpu = Map.groupBy(found.prices, (price) => price.gpu_model)
    prices.replaceChildren(
      ...(byGpu.size === 0 ? [h('p', { class: 'card' }, found.summary)] : []),
      ...[...byGpu].slice(0, 6).map(([gpu, of]) => h('div', { class: 'card' }, priceLines(gpu, of), of.map(standing))),
    )
  }
  main.append(
    h('h2', {}, 'Rented'),
    sum,
    table.node,
    more,
    h('h2', {}, 'Prices'),
    h(
      'form',
      {
        class: 'row',
        role: 'search',
        onsubmit: (event) => {
          event.preventDefault()
          void act('', look)
        },
      },
      field('GPU', model),
      h('button', { type: 'submit' }, 'Show'),
    ),
    prices,
  )
  return Promise.all([load(), look()])
}

const priceLines = (gpu, prices) =>
  lines(
    `${gpu}, the cheapest for one GPU and hour`,
    prices.map(({ provider, history }) => ({
      name: provider,
      points: history.map(({ at, price }) => ({ at: Date.parse(at), value: price })),
    })),
    { words: (value) => usd(value), moment: (at) => time(new Date(at).toISOString()) },
  )

const standing = ({ provider, summary }) => h('p', { class: 'quiet' }, `${provider}: ${summary}.`)
