// What operators see, and what they can do about it.
import { call, follow, get } from './api.js'
import { act, bytes, field, h, keyedTable, number, submits, tile, time } from './dom.js'
import { machines, spending } from './fleet.js'
import { waterfall } from './receipt.js'

const state = (row) => `state ${row.state}`
const words = (text) => text.replaceAll('_', ' ')

function watch(context, onData) {
  const { signal, setLive, onRefused } = context
  void follow('/api/v1/admin/live', {
    signal,
    onData,
    onState: (now) => (now === 'refused' ? onRefused() : setLive(now)),
  })
}

function overview(context) {
  const { main } = context
  const tiles = {
    requests: tile('Requests a second', 'Requests a second, over the last three minutes'),
    failed: tile('Failed a second (5xx)', 'Failures a second'),
    refused: tile('Refused a second (4xx)'),
    p50: tile('Median, ms', 'Median duration'),
    p99: tile('99th percentile, ms', '99th percentile of the duration'),
    token: tile('First token, ms', 'Median time to the first token'),
    overhead: tile('Our own share, p99 ms'),
    streams: tile('Streams', 'Streams'),
    queue: tile('Waiting'),
    brownout: tile('Brownout level'),
    retries: tile('Retries a second'),
    ledger: tile('Ledger, not yet written'),
    redis: tile('Redis'),
    pods: tile('Pods, and wanted'),
  }
  const mode = h('p')
  const toggle = h('button', { type: 'button' }, 'Read-only mode')
  let readOnly = false
  toggle.addEventListener('click', () =>
    act('', async () => modeSet(await call('PUT', '/api/v1/admin/mode', { read_only: !readOnly }))),
  )
  const upstreams = keyedTable({
    caption: 'Upstreams of this pod',
    empty: 'None yet.',
    key: (row) => row.name,
    columns: [
      { name: 'Name', text: (row) => row.name },
      { name: 'Under way', number: true, text: (row) => number(row.in_flight) },
      { name: 'Limit', number: true, text: (row) => number(row.limit) },
      { name: 'Retries refused by the budget', number: true, text: (row) => number(row.retries_refused) },
    ],
  })
  const caches = keyedTable({
    caption: 'Caches of this pod',
    empty: 'None yet.',
    key: (row) => row.name,
    columns: [
      { name: 'Name', text: (row) => row.name },
      { name: 'Look-ups', number: true, text: (row) => number(row.lookups) },
      {
        name: 'Found',
        number: true,
        text: (row) => (row.hit_ratio === null ? '–' : `${number(100 * row.hit_ratio, 1)} %`),
      },
      { name: 'In memory', number: true, text: (row) => bytes(row.bytes) },
    ],
  })
  const pools = keyedTable({
    caption: 'Database connections of this pod',
    empty: 'None.',
    key: (row) => row.role,
    columns: [
      { name: 'Pool', text: (row) => row.role },
      {
        name: 'Connections',
        text: ({ role, ...states }) =>
          Object.entries(states)
            .map(([name, count]) => `${words(name)} ${count}`)
            .join(', '),
      },
    ],
  })
  main.append(
    h(
      'div',
      { class: 'tiles' },
      Object.values(tiles).map(({ node }) => node),
    ),
    h('h2', {}, 'Mode'),
    h('div', { class: 'card' }, mode, toggle),
    h('h2', {}, 'Upstreams'),
    upstreams.node,
    h('h2', {}, 'Caches'),
    caches.node,
    h('h2', {}, 'Database'),
    pools.node,
  )
  watch(context, (now) => {
    tiles.requests.set(number(now.requests_per_s, 1), now.requests_per_s)
    tiles.failed.set(number(now.failed_per_s, 1), now.failed_per_s)
    tiles.refused.set(number(now.refused_per_s, 1))
    tiles.p50.set(number(now.p50_ms, 1), now.p50_ms)
    tiles.p99.set(number(now.p99_ms, 1), now.p99_ms)
    tiles.token.set(number(now.first_token_p50_ms, 1), now.first_token_p50_ms)
    tiles.overhead.set(number(now.overhead_p99_ms, 2))
    tiles.streams.set(number(now.streams), now.streams)
    tiles.queue.set(number(now.queue))
    tiles.brownout.set(number(now.brownout))
    tiles.retries.set(number(now.retries_per_s, 1))
    tiles.ledger.set(number(now.ledger_pending))
    tiles.redis.set(now.redis_up === null ? 'not used' : now.redis_up ? 'answers' : 'away')
    tiles.pods.set(`${now.pods} / ${now.desired_replicas}`)
    readOnly = now.mode.read_only
    mode.textContent = readOnly
      ? `Read-only${now.mode.reason ? `: ${words(now.mode.reason)}` : ''}. Accounts, keys, rentals and payments cannot be changed.`
      : 'Reading and writing.'
    toggle.textContent = readOnly ? 'Write again' : 'Make it read-only'
    upstreams.update(now.upstreams)
    caches.update(now.cache)
    pools.update(now.pools)
  })
}

/** What came of it: the switch is not the only reason, and a lost primary cannot tell the other pods. */
function modeSet({ read_only: readOnly, reason, stored }) {
  const here = stored ? '' : ' Only this pod knows: no primary has taken it yet.'
  if (!readOnly) return `Writing again.${here}`
  return reason === 'operator'
    ? `Nothing is written any more.${here}`
    : `Still read-only, and not by the switch: ${words(reason)}.${here}`
}

function breakers(context) {
  const force = (name, to) =>
    act(`${name}: ${to}`, () => call('PUT', `/api/v1/admin/breakers/${encodeURIComponent(name)}`, { state: to }))
  const forced = { forced_open: 'open', forced_closed: 'closed' }
  const table = keyedTable({
    caption: 'Every breaker of the fleet',
    empty: 'Waiting for the first look…',
    key: (row) => row.name,
    columns: [
      { name: 'Name', text: (row) => row.name },
      { name: 'State', text: (row) => words(row.state), class: state },
      {
        name: 'Failures in the window',
        number: true,
        text: (row) => `${number(100 * row.failure_rate, 0)} % of ${number(row.calls)}`,
      },
      { name: 'Trips', number: true, text: (row) => number(row.trips) },
      { name: 'Next probe', text: (row) => time(row.next_probe_at) },
      { name: 'Pods', text: (row) => row.pods.map((each) => `${each.pod} ${words(each.state)}`).join(', ') },
      {
        name: 'Set to',
        actions: (row) =>
          ['open', 'closed', 'auto'].map((to) =>
            h(
              'button',
              {
                type: 'button',
                'data-to': to,
                'aria-label': `Set ${row.name} to ${to}`,
                onclick: () => force(row.name, to),
              },
              to,
            ),
          ),
        refresh(cell, row) {
          for (const button of cell.querySelectorAll('button')) {
            button.setAttribute('aria-pressed', String(button.dataset.to === (forced[row.state] ?? 'auto')))
          }
        },
      },
    ],
  })
  context.main.append(
    h(
      'p',
      {},
      'An open breaker keeps calls from a service that fails. Set to open or closed, it stays so until it is set to auto.',
    ),
    table.node,
  )
  watch(context, (now) => table.update(now.breakers))
}

function requests({ main, signal }) {
  const text = h('input', { name: 'q', type: 'search' })
  const detail = h('section', { 'aria-live': 'polite' })
  const table = keyedTable({
    caption: 'The latest requests of this pod',
    empty: 'None that fits.',
    key: (row) => row.request_id,
    columns: [
      { name: 'Ended', text: (row) => time(row.at) },
      { name: 'Route', text: (row) => `${row.method} ${row.route}` },
      {
        name: 'Status',
        number: true,
        text: (row) => row.status,
        class: (row) => (row.status >= 500 ? 'state failed' : ''),
      },
      { name: 'ms', number: true, text: (row) => number(row.duration_ms, 1) },
      { name: 'Tries', number: true, text: (row) => row.attempts },
      { name: 'Provider', text: (row) => row.provider },
      { name: 'Code', text: (row) => row.code },
      { name: 'Request', text: (row) => row.request_id, class: () => 'id' },
      {
        name: 'Receipt',
        actions: (row) => [
          h(
            'button',
            {
              type: 'button',
              'aria-label': `Show the receipt of ${row.request_id}`,
              onclick: () => waterfall(detail, row.request_id),
            },
            'Show',
          ),
        ],
      },
    ],
  })
  const load = async () => {
    const { requests: found } = await get(
      `/api/v1/admin/requests?limit=100&q=${encodeURIComponent(text.value)}`,
      signal,
    )
    table.update(found)
  }
  main.append(
    h(
      'form',
      { class: 'row', role: 'search', onsubmit: submits(load) },
      field('Id, route, status, account, provider or code', text),
      h('button', { type: 'submit' }, 'Search'),
    ),
    table.node,
    detail,
  )
  return load()
}

function accounts({ main, signal }) {
  const email = h('input', { name: 'email', type: 'search' })
  const more = h('button', { type: 'button', hidden: true }, 'More')
  let rows = []
  let cursor
  const table = keyedTable({
    caption: 'Accounts',
    empty: 'None that fits.',
    key: (row) => row.id,
    columns: [
      { name: 'Name', text: (row) => row.name },
      { name: 'Email', text: (row) => row.email },
      { name: 'Role', text: (row) => row.role },
      { name: 'Since', text: (row) => time(row.created_at) },
      {
        name: 'State',
        text: (row) => (row.disabled ? 'disabled' : 'enabled'),
        class: (row) => (row.disabled ? 'state failed' : 'state ok'),
      },
      { name: 'Id', text: (row) => row.id, class: () => 'id' },
      {
        name: 'Do',
        actions: (row) => [
          h(
            'button',
            {
              type: 'button',
              'aria-label': `Disable / enable ${row.name}`,
              onclick: () => act('Changed.', () => toggle(row.id)),
            },
            'Disable / enable',
          ),
        ],
      },
    ],
  })
  async function toggle(id) {
    const row = rows.find((each) => each.id === id)
    const changed = await call('PATCH', `/api/v1/admin/accounts/${id}`, { disabled: !row.disabled })
    rows = rows.map((each) => (each.id === id ? changed : each))
    table.update(rows)
  }
  async function load(after) {
    const query = new URLSearchParams({
      limit: '50',
      ...(email.value && { email: email.value }),
      ...(after && { cursor: after }),
    })
    const page = await get(`/api/v1/admin/accounts?${query}`, signal)
    rows = after ? [...rows, ...page.accounts] : page.accounts
    cursor = page.next_cursor
    more.hidden = cursor === undefined
    table.update(rows)
  }
  more.addEventListener('click', () => act('More loaded.', () => load(cursor)))
  main.append(
    h(
      'form',
      { class: 'row', role: 'search', onsubmit: submits(() => load()) },
      field('Email', email),
      h('button', { type: 'submit' }, 'Search'),
    ),
    table.node,
    more,
  )
  return load()
}

function faults({ main, signal }) {
  const target = h('input', { name: 'target', required: true, value: 'openai' })
  const kind = h(
    'select',
    { name: 'kind' },
    ['429', 'reset', 'slow', 'cut', 'stall', 'malformed', 'no_done', 'price_spike'].map((each) =>
      h('option', { value: each }, each),
    ),
  )
  const share = h('input', { name: 'share', type: 'number', min: '0', max: '1', step: '0.05', value: '0.5' })
  const length = h('input', { name: 'length', value: '60s' })
  const table = keyedTable({
    caption: 'Faults in force',
    empty: 'None.',
    key: (row) => `${row.target} ${row.kind} ${row.seed}`,
    columns: [
      { name: 'Target', text: (row) => row.target },
      { name: 'Kind', text: (row) => row.kind },
      { name: 'Share', number: true, text: (row) => `${number(100 * row.share)} %` },
      { name: 'Until', text: (row) => time(row.expires_at) },
    ],
  })
  const load = async () => table.update((await get('/api/v1/admin/faults', signal)).faults)
  const set = (list) =>
    act(list.length ? 'Set.' : 'All faults are over.', async () =>
      table.update((await call('PUT', '/api/v1/admin/faults', { faults: list })).faults),
    )
  const add = (event) => {
    event.preventDefault()
    void set([{ target: target.value, kind: kind.value, share: Number(share.value), expires_in: length.value }])
  }
  main.append(
    h(
      'p',
      {},
      'For game days: calls of a provider fail on purpose, for a time. One at a time here; the API sets several.',
    ),
    h(
      'form',
      { class: 'row', onsubmit: add },
      field('Provider', target),
      field('Kind', kind),
      field('Share of calls', share),
      field('For', length),
      h('button', { class: 'main', type: 'submit' }, 'Begin'),
      h('button', { type: 'button', onclick: () => set([]) }, 'End all'),
    ),
    table.node,
  )
  return load()
}

export const adminPages = [
  { id: 'overview', name: 'Overview', show: overview },
  { id: 'breakers', name: 'Breakers', show: breakers },
  { id: 'requests', name: 'Requests', show: requests },
  { id: 'accounts', name: 'Accounts', show: accounts },
  { id: 'spending', name: 'Spending', show: spending },
  { id: 'machines', name: 'GPUs', show: machines },
  { id: 'faults', name: 'Game day', show: faults },
]
