// A receipt, and its tries one below the other as they followed in time.
import { get } from './api.js'
import { h, number, time } from './dom.js'

export async function waterfall(into, id) {
  into.replaceChildren(h('h2', {}, 'Receipt'), h('p', {}, 'Looking…'))
  try {
    const receipt = await get(`/api/v1/receipts/${encodeURIComponent(id)}`)
    into.replaceChildren(h('h2', {}, 'Receipt'), h('div', { class: 'card' }, facts(receipt), fall(receipt)))
  } catch (error) {
    into.replaceChildren(h('h2', {}, 'Receipt'), h('p', { class: 'card' }, error.message))
  }
}

function facts(receipt) {
  const { usage } = receipt
  const pairs = [
    ['Request', receipt.request_id],
    ['Ended', time(receipt.at)],
    ['Answered by', `${receipt.provider}: ${receipt.model}, status ${receipt.status}`],
    [
      'Tokens',
      `${number(usage.input_tokens)} in (${number(usage.cached_input_tokens)} cached), ${number(usage.output_tokens)} out, by ${usage.source}`,
    ],
    ['Cost', `$${receipt.cost} of $${receipt.held} held`],
    ['Cache', receipt.cache],
  ]
  return h(
    'dl',
    { class: 'pairs' },
    pairs.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]),
  )
}

function fall({ tries, phases_ms: phases }) {
  const total = Math.max(phases.total, 0.1)
  let from = 0
  const rows = tries.map((each) => {
    const row = line(
      `${each.provider} ${each.model}`,
      from,
      each.ms,
      total,
      `${each.outcome}, ${number(each.ms, 1)} ms (${each.reason})`,
      !each.outcome.includes('ok'),
    )
    from += each.ms
    return row
  })
  return h(
    'div',
    { class: 'fall' },
    line('all of it', 0, phases.total, total, `${number(phases.total, 1)} ms`, false),
    rows,
  )
}

function line(name, from, ms, total, words, failed) {
  const bar = h('div', { class: failed ? 'bar failed' : 'bar' })
  bar.style.left = `${Math.min((100 * from) / total, 99)}%`
  bar.style.width = `${Math.min((100 * ms) / total, 100)}%`
  return [h('span', {}, name), h('div', { class: 'track' }, bar), h('span', {}, words)]
}
