// What a customer sees of the own account.
import { call, get, orders } from './api.js'
import { act, dollars, field, h, keyedTable, number, time } from './dom.js'
import { columns, daysOf, ranking } from './plot.js'
import { waterfall } from './receipt.js'

const usd = (value, digits = 4) => `$${number(Number(value), digits)}`

function keys({ main, signal }) {
  const name = h('input', { name: 'name', required: true, maxlength: '100' })
  const perDay = h('input', { name: 'budget', placeholder: '5.00', inputmode: 'decimal' })
  const made = h('p', { role: 'status' })
  const table = keyedTable({
    caption: 'API keys',
    empty: 'None yet.',
    key: (row) => row.id,
    columns: [
      { name: 'Name', text: (row) => row.name },
      { name: 'Begins with', text: (row) => row.prefix, class: () => 'id' },
      { name: 'May', text: (row) => row.scopes.join(', ') },
      { name: 'Budget a day', text: (row) => (row.limits.budget_per_day ? `$${row.limits.budget_per_day}` : 'none') },
      { name: 'Last used', text: (row) => time(row.last_used_at) },
      { name: 'Good until', text: (row) => (row.expires_at ? time(row.expires_at) : 'further notice') },
      {
        name: 'Do',
        actions: (row) => [
          h(
            'button',
            {
              type: 'button',
              'aria-label': `Revoke ${row.name}`,
              onclick: () => act('Revoked, on every pod within five seconds.', () => revoke(row)),
            },
            'Revoke',
          ),
        ],
      },
    ],
  })
  const load = async () => table.update((await get('/api/v1/auth/apikeys', signal)).apikeys)
  async function revoke(row) {
    if (!confirm(`Revoke "${row.name}"? What uses it stops working.`)) return ''
    await call('DELETE', `/api/v1/auth/apikeys/${row.id}`)
    await load()
  }
  const create = (event) => {
    event.preventDefault()
    void act('Made.', async () => {
      const limits = perDay.value ? { limits: { budget_per_day: perDay.value } } : {}
      const { api_key: key } = await call('POST', '/api/v1/auth/apikeys', { name: name.value, ...limits })
      made.replaceChildren('The key, shown this once: ', h('code', {}, key))
      event.target.reset()
      await load()
    })
  }
  main.append(
    h(
      'form',
      { class: 'row', onsubmit: create },
      field('Name of a new key', name),
      field('Budget a day, $', perDay),
      h('button', { class: 'main', type: 'submit' }, 'Make a key'),
    ),
    made,
    table.node,
  )
  return load()
}

function usage({ main, signal }) {
  const thisMonth = new Date().toISOString().slice(0, 7)
  const month = h('input', { name: 'month', type: 'month', required: true, value: thisMonth, max: thisMonth })
  const days = h('div', { class: 'card' })
  const cost = (row) => Number(row.cost)
  const used = [
    { name: 'Requests', number: true, text: (row) => number(row.requests) },
    { name: 'Tokens in', number: true, text: (row) => number(row.input_tokens) },
    { name: 'Tokens out', number: true, text: (row) => number(row.output_tokens) },
  ]
  const tables = Object.entries({ day: 'Day', model: 'Model', key: 'Key' }).map(([group, name]) => ({
    group,
    table: ranking({
      ...{ caption: `By ${group}`, empty: 'Nothing in this month.' },
      ...{ name, value: cost, words: dollars, columns: used },
    }),
  }))
  const load = async (event) => {
    event?.preventDefault()
    // Whole months are summed already: nothing more is read than is shown.
    const asked = month.value
    const last = daysOf(asked, () => 0).at(-1).name
    const ask = ({ group }) => get(`/api/v1/billing/usage?group_by=${group}&from=${asked}-01&to=${last}`, signal)
    const answers = await Promise.all(tables.map(ask))
    const known = new Map(answers[0].usage.map((row) => [row.group, cost(row)]))
    const points = daysOf(asked, (day) => known.get(day) ?? 0)
    days.replaceChildren(columns('Cost by day', points, dollars))
    answers.forEach(({ usage }, i) => {
      tables[i].table.update(usage)
    })
  }
  main.append(
    h(
      'form',
      { class: 'row', onsubmit: (event) => act('', () => load(event)) },
      field('Month (UTC)', month),
      h('button', { type: 'submit' }, 'Show'),
    ),
    days,
    ...tables.flatMap(({ group, table }) => [h('h2', {}, `By ${group}`), table.node]),
  )
  return load()
}

function receipts({ main }) {
  const id = h('input', { name: 'id', required: true, size: '38' })
  const detail = h('section', { 'aria-live': 'polite' })
  const find = (event) => {
    event.preventDefault()
    void waterfall(detail, id.value.trim())
  }
  main.append(
    h('p', {}, 'Every answer carries its request’s id in the header x-request-id.'),
    h(
      'form',
      { class: 'row', role: 'search', onsubmit: find },
      field('Request id', id),
      h('button', { type: 'submit' }, 'Find'),
    ),
    detail,
  )
}

function gpus({ main, signal }) {
  const model = h('input', { name: 'gpu', placeholder: 'RTX 4090' })
  const most = h('input', { name: 'price', inputmode: 'decimal', placeholder: '1.00', size: '6' })
  const states = h('p', { role: 'status' })
  const offers = keyedTable({
    caption: 'Offers, the cheapest first',
    empty: 'None that fits.',
    key: (row) => row.id,
    columns: [
      { name: 'GPU', text: (row) => `${row.gpu_count} × ${row.gpu_model}` },
      { name: 'Memory of one', number: true, text: (row) => `${row.vram_gb} GB` },
      { name: 'An hour, all in', number: true, text: (row) => usd(row.price_per_hour) },
      { name: 'Where', text: (row) => row.location },
      { name: 'Market', text: (row) => row.provider },
      {
        name: 'Do',
        actions: (row, current) => [
          h(
            'button',
            {
              type: 'button',
              'aria-label': `Rent an hour of ${row.id}`,
              onclick: ({ currentTarget }) => act('', () => rent(current()), currentTarget),
            },
            'Rent an hour',
          ),
        ],
      },
    ],
  })
  const mine = keyedTable({
    caption: 'My machines',
    empty: 'None.',
    key: (row) => row.id,
    columns: [
      { name: 'GPU', text: (row) => `${row.gpu_count} × ${row.gpu_model}` },
      { name: 'State', text: (row) => row.status, class: (row) => `state ${row.status}` },
      { name: 'An hour', number: true, text: (row) => usd(row.price_per_hour) },
      { name: 'So far', number: true, text: (row) => usd(row.cost_so_far) },
      { name: 'Since', text: (row) => time(row.created_at) },
      {
        name: 'Do',
        actions: (row) => [
          h(
            'button',
            {
              type: 'button',
              'aria-label': `Destroy ${row.id}`,
              onclick: () => act('Is being destroyed.', () => destroy(row)),
            },
            'Destroy',
          ),
        ],
      },
    ],
  })
  const more = h('button', { type: 'button', hidden: true }, 'More')
  let rows = []
  let cursor
  async function loadMine(after) {
    const page = await get(`/api/v1/gpu/instances${after ? `?cursor=${after}` : ''}`, signal)
    rows = after ? [...rows, ...page.instances] : page.instances
    cursor = page.next_cursor
    more.hidden = cursor === undefined
    mine.update(rows)
  }
  more.addEventListener('click', () => act('More loaded.', () => loadMine(cursor)))
  const order = orders('/api/v1/gpu/instances')
  async function rent(row) {
    if (!confirm(`Rent ${row.gpu_count} × ${row.gpu_model} for at most an hour, ${usd(row.price_per_hour)}?`)) return ''
    const { id: offer_id, price_per_hour: max_price } = row
    const { status } = await order({ offer_id, image: 'ubuntu:24.04', max_hours: 1, max_price })
    await loadMine()
    // As of a call whose answer was lost: the market's lists will tell.
    const isOpen = status === 'unknown' || status === 'pending'
    return isOpen ? 'Asked for. Whether it is rented is not known yet: see below.' : 'Rented.'
  }
  async function destroy(row) {
    if (!confirm('Destroy it? What is on it is lost.')) return ''
    await call('DELETE', `/api/v1/gpu/instances/${row.id}`)
    await loadMine()
  }
  const find = async (event) => {
    event?.preventDefault()
    const query = new URLSearchParams({
      limit: '50',
      ...(model.value && { gpu_model: model.value }),
      ...(most.value && { max_price: most.value }),
    })
    await act('', async () => {
      const answer = await get(`/api/v1/gpu/offers?${query}`, signal)
      states.textContent = answer.providers.map(({ name, status }) => `${name}: ${status}`).join(' · ')
      offers.update(answer.offers)
    })
  }
  main.append(
    h('h2', {}, 'My machines'),
    mine.node,
    more,
    h('h2', {}, 'Offers'),
    h(
      'form',
      { class: 'row', role: 'search', onsubmit: find },
      field('GPU', model),
      field('At most, $ an hour', most),
      h('button', { type: 'submit' }, 'Search'),
    ),
    states,
    offers.node,
  )
  return Promise.all([find(), loadMine()])
}

/** Of a payment, by its status. */
const said = {
  succeeded: 'Paid.',
  processing: 'The payment is processing: it is credit when it has come in.',
  requires_action: 'Not paid yet: the bank wants the payer to confirm it (requires_action).',
}

async function billing({ main, signal }) {
  const balance = h('dl', { class: 'pairs' })
  const amount = h('input', { name: 'amount', required: true, inputmode: 'decimal', placeholder: '10.00' })
  const method = h('input', { name: 'method', required: true, value: 'pm_card_visa' })
  const table = keyedTable({
    caption: 'What moved the balance',
    empty: 'Nothing yet.',
    key: (row) => row.id,
    columns: [
      { name: 'When', text: (row) => time(row.at) },
      { name: 'What', text: (row) => row.kind },
      { name: 'Amount', number: true, text: (row) => `$${row.amount}` },
      { name: 'For', text: (row) => row.request_id ?? row.instance_id ?? row.note, class: () => 'id' },
    ],
  })
  async function load() {
    const [now, { transactions }] = await Promise.all([
      get('/api/v1/billing/balance', signal),
      get('/api/v1/billing/transactions?limit=100', signal),
    ])
    balance.replaceChildren(
      h('dt', {}, 'Available'),
      h('dd', {}, `$${now.available}`),
      h('dt', {}, 'Held for what is under way'),
      h('dd', {}, `$${now.held}`),
    )
    table.update(transactions)
  }
  const order = orders('/api/v1/billing/payments')
  const pay = (event) => {
    event.preventDefault()
    const send = async () => {
      const { status } = await order({ amount: amount.value, currency: 'USD', payment_method: method.value })
      await load()
      return said[status] ?? `The payment is ${status}.`
    }
    void act('', send, event.submitter)
  }
  main.append(
    h('div', { class: 'card' }, balance),
    h('h2', {}, 'Top up'),
    h(
      'form',
      { class: 'row', onsubmit: pay },
      field('Amount, $', amount),
      field('Stripe payment method', method),
      h('button', { class: 'main', type: 'submit' }, 'Pay'),
    ),
    table.node,
  )
  await load()
}

export const customerPages = [
  { id: 'keys', name: 'Keys', show: keys },
  { id: 'usage', name: 'Usage', show: usage },
  { id: 'receipts', name: 'Receipts', show: receipts },
  { id: 'gpus', name: 'GPUs', show: gpus },
  { id: 'billing', name: 'Billing', show: billing },
]
