/** Renting at the fake Vast.ai: its routes of asks, instances, charges and logs. */
import { createIntervals } from './intervals.ts'
import { createLies, type MarketOptions } from './market-controls.ts'
import type { Answer } from './send.ts'
import type { VastMachine } from './vast-catalogue.ts'
import { answerCharges } from './vast-charges.ts'
import { createVastContracts, type VastContract } from './vast-contracts.ts'
import { createVastControls } from './vast-controls.ts'
import { invalidArgs, noSuchAsk, notFound, tooFrequent } from './vast-errors.ts'
import { instanceOf } from './vast-instance.ts'
import { createVastLogs } from './vast-logs.ts'
import { readVastOrder } from './vast-order.ts'
import { readPage } from './vast-page.ts'
import { isRecord, jsonAnswer, type Route, type VendorCall } from './vendor.ts'

export function createVastRental(options: MarketOptions & { catalogue: readonly VastMachine[] }) {
  const { catalogue, paced = true } = options
  const contracts = createVastContracts(options)
  const intervals = createIntervals(contracts.now)
  const logs = createVastLogs(contracts.now)
  const lies = createLies()

  const shown = (contract: VastContract) =>
    instanceOf(contract, lies.status(String(contract.id), contracts.statusOf(contract)))

  function create({ body }: VendorCall, id: string): Answer {
    const order = readVastOrder(body)
    if ('error' in order) return invalidArgs(order, id)
    const machine = catalogue.find((each) => String(each.id) === id)
    if (!machine || !contracts.isFree(machine.id)) return noSuchAsk(id)
    if (order.diskGb > machine.disk_space) return invalidArgs({ error: 'invalid_args', msg: 'disk: too large' }, id)
    if (order.bid !== undefined && order.bid < machine.min_bid) {
      return invalidArgs({ error: 'invalid_price', msg: `price: expected at least ${machine.min_bid}` }, id)
    }
    const contract = contracts.create(machine, order)
    contracts.raisePrice(contract, lies.factor(id))
    return jsonAnswer(200, { success: true, new_contract: contract.id })
  }

  function show(_: VendorCall, id: string): Answer {
    const contract = contracts.find(Number(id))
    return jsonAnswer(200, { instances: contract ? shown(contract) : null })
  }

  function list({ query }: VendorCall): Answer {
    const real = contracts.live().filter(({ id }) => !lies.omits(String(id)))
    const ghosts = lies.ghosts().flatMap((id) => contracts.findEnded(Number(id)) ?? [])
    const rows = [...real.map(shown), ...ghosts.map((each) => instanceOf(each, 'running'))]
    const page = readPage(
      rows.sort((a, b) => a.id - b.id),
      query,
      { most: 25, usual: 25 },
    )
    if ('wrong' in page) return invalidArgs({ error: 'invalid_args', msg: page.wrong })
    const label_counts: Record<string, number> = {}
    for (const { label } of page.matching) label_counts[label ?? ''] = (label_counts[label ?? ''] ?? 0) + 1
    return jsonAnswer(200, {
      success: true,
      instances_found: page.matching.length,
      total_instances: rows.length,
      label_counts,
      next_token: page.nextToken,
      instances: page.rows,
    })
  }

  function change({ body }: VendorCall, id: string): Answer {
    const contract = contracts.find(Number(id))
    if (!contract) return notFound('no_such_instance')
    if (!isRecord(body)) return invalidArgs({ error: 'invalid_args', msg: 'the body is not a JSON object' })
    const { state, label } = body
    if (typeof label === 'string' && label.length > 256) {
      return jsonAnswer(400, { success: false, error: 'label_too_long', msg: 'error 400: label_too_long' })
    }
    if (state !== undefined && state !== 'running' && state !== 'stopped') {
      return invalidArgs({ error: 'invalid_args', msg: 'state: expected running or stopped' })
    }
    if (state === undefined && typeof label !== 'string') {
      return invalidArgs({ error: 'invalid_args', msg: 'expected a state or a label' })
    }
    if (typeof label === 'string') contract.label = label
    if (state !== undefined) contracts.setRunning(contract, state === 'running')
    return jsonAnswer(200, { success: true })
  }

  function destroy(_: VendorCall, id: string): Answer {
    const contract = contracts.find(Number(id))
    if (!contract) return notFound('not_found')
    contracts.destroy(contract)
    return jsonAnswer(200, { success: true, msg: 'Instance destroyed successfully' })
  }

  function requestLogs(call: VendorCall, id: string): Answer {
    const contract = contracts.find(Number(id))
    if (!contract) return notFound('no_such_instance')
    return logs.request(call, contract, contracts.statusOf(contract))
  }

  /** A kind of call that has to keep `seconds` of distance. */
  const every =
    (kind: string, seconds: number, handle: Route[2]): Route[2] =>
    (call, captured) =>
      !paced || intervals.take(kind, seconds) ? handle(call, captured) : tooFrequent(seconds)

  const routes: Route[] = [
    ['PUT', /^\/api\/v0\/asks\/(\d+)\/$/, every('create', 4.5, create)],
    ['GET', /^\/api\/v0\/instances\/(\d+)\/$/, every('show', 2, show)],
    ['GET', /^\/api\/v1\/instances\/$/, every('list', 1, list)],
    ['PUT', /^\/api\/v0\/instances\/(\d+)\/$/, every('state', 1, change)],
    ['DELETE', /^\/api\/v0\/instances\/(\d+)\/$/, every('destroy', 3, destroy)],
    ['GET', /^\/api\/v0\/charges\/$/, every('charges', 1, ({ query }) => answerCharges(query, contracts, lies))],
    ['PUT', /^\/api\/v0\/instances\/request_logs\/(\d+)\/$/, every('logs', 1, requestLogs)],
  ]

  return {
    routes,
    controls: createVastControls({ contracts, catalogue, lies }),
    isFree: contracts.isFree,
    download: logs.download,
  }
}
