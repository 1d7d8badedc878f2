/** Renting at the fake io.net: its routes of deployments and containers. */
import { createIonetControls } from './ionet-controls.ts'
import { createIonetDeployments, type IonetDeployment } from './ionet-deployments.ts'
import { conflict, data, detail, notFound, unprocessable } from './ionet-errors.ts'
import { type IonetStock, locations, models } from './ionet-hardware.ts'
import { containerId, detailOf, rowOf, workersOf } from './ionet-json.ts'
import { type IonetOrder, readExtension, readOrder } from './ionet-order.ts'
import { createLies, type MarketOptions } from './market-controls.ts'
import type { Answer } from './send.ts'
import { jsonAnswer, type Route, type VendorCall } from './vendor.ts'

const phases = ['deployment requested', 'in progress', 'running', 'termination requested', 'failed']
const maxPageSize = 100

export function createIonetRental(options: MarketOptions & { now: () => number; stock: IonetStock }) {
  const { now, stock } = options
  const deployments = createIonetDeployments(options)
  const lies = createLies()
  const statusOf = (deployment: IonetDeployment) => lies.status(deployment.id, deployments.phaseOf(deployment)) ?? ''

  function deploy({ body }: VendorCall): Answer {
    const order = readOrder(body)
    if (Array.isArray(order)) return detail(422, order)
    const refused = refusalOf(order)
    if (refused) return refused
    const { resource_private_name: name, gpus_per_container: gpus, container_config } = order
    const row = stock.choose(order.hardware_id, order.location_ids, gpus, container_config.replica_count)
    if (!row) return detail(400, 'Not enough available replicas for the requested hardware and locations')
    const { id } = deployments.create(name, order, row, lies.factor(String(row.id)))
    return jsonAnswer(200, { status: 'DEPLOYMENT REQUESTED', deployment_id: id })
  }

  function refusalOf(order: IonetOrder): Answer | undefined {
    if (deployments.isTaken(order.resource_private_name)) return conflict('Resource private name is already in use')
    const model = models.find(({ id }) => id === order.hardware_id)
    if (!model) return detail(404, 'Hardware not found')
    if (!order.location_ids.every((wanted) => locations.some(({ id }) => id === wanted))) {
      return detail(404, 'Location not found')
    }
    if (order.gpus_per_container <= model.maxGpus) return undefined
    const msg = `Input should be less than or equal to ${model.maxGpus}`
    return unprocessable(['body', 'gpus_per_container'], 'less_than_equal', msg)
  }

  function list({ query }: VendorCall): Answer {
    const [page, size] = [Number(query.get('page') ?? 1), Number(query.get('page_size') ?? 20)]
    if (!Number.isInteger(page) || page < 1) {
      return unprocessable(['query', 'page'], 'greater_than_equal', 'Input should be greater than or equal to 1')
    }
    if (!Number.isInteger(size) || size < 1 || size > maxPageSize) {
      const msg = `Input should be less than or equal to ${maxPageSize}`
      return unprocessable(['query', 'page_size'], 'less_than_equal', msg)
    }
    const real = deployments.live().filter(({ id }) => !lies.omits(id))
    const ghosts = lies.ghosts().flatMap((id) => deployments.findEnded(id) ?? [])
    const wanted = query.get('status')?.toLowerCase()
    const rows = [
      ...ghosts.map((each) => rowOf(each, 'running', now())),
      ...real.map((each) => rowOf(each, statusOf(each), now())),
    ].filter(({ status }) => wanted === undefined || status.toLowerCase() === wanted)
    // The newest first.
    if (query.get('sort_order') !== 'asc') rows.reverse()
    return data({ deployments: rows.slice((page - 1) * size, page * size), total: rows.length, statuses: phases })
  }

  /** One that has ended is still shown to who asks for it. */
  function show(_: VendorCall, id: string): Answer {
    const found = deployments.find(id) ?? deployments.findEnded(id)
    return found ? data(detailOf(found, statusOf(found), now())) : notFound('Deployment')
  }

  function containers(_: VendorCall, id: string): Answer {
    const found = deployments.find(id)
    if (!found) return notFound('Deployment')
    const workers = workersOf(found, statusOf(found))
    return data({ total: workers.length, workers })
  }

  /** Neither goes on nor is taken back once it was asked to go. */
  const findGoing = (id: string) => {
    const found = deployments.find(id)
    return found?.terminatesAt === undefined ? found : undefined
  }

  function extend({ body }: VendorCall, id: string): Answer {
    const found = findGoing(id)
    if (!found) return notFound('Deployment')
    const extension = readExtension(body)
    if (Array.isArray(extension)) return detail(422, extension)
    deployments.extend(found, extension.duration_hours)
    return data(detailOf(found, statusOf(found), now()))
  }

  function terminate(_: VendorCall, id: string): Answer {
    const found = findGoing(id)
    if (!found) return notFound('Deployment')
    deployments.terminate(found)
    return jsonAnswer(200, { status: 'TERMINATION REQUESTED', deployment_id: id })
  }

  function logs({ path }: VendorCall, id: string): Answer {
    const found = deployments.find(id)
    const index = found?.hosts.findIndex((_, at) => path.endsWith(`/log/${containerId(found, at)}`)) ?? -1
    if (!found || index < 0) return notFound('Container')
    return { status: 200, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: linesOf(found, now()) }
  }

  const nameIsFree = ({ query }: VendorCall): Answer => {
    const name = query.get('cluster_name')
    if (name === null) return unprocessable(['query', 'cluster_name'], 'missing', 'Field required')
    return jsonAnswer(200, !deployments.isTaken(name))
  }

  const one = '/enterprise/v1/io-cloud/caas/deployment/([0-9a-f-]{36})'
  const routes: Route[] = [
    ['POST', /^\/enterprise\/v1\/io-cloud\/caas\/deploy$/, deploy],
    ['GET', /^\/enterprise\/v1\/io-cloud\/caas\/deployments$/, list],
    ['GET', new RegExp(`^${one}$`), show],
    ['GET', new RegExp(`^${one}/containers$`), containers],
    ['POST', new RegExp(`^${one}/extend$`), extend],
    ['DELETE', new RegExp(`^${one}$`), terminate],
    ['GET', new RegExp(`^${one}/log/[^/]+$`), logs],
    ['GET', /^\/enterprise\/v1\/io-cloud\/caas\/clusters\/check_cluster_name_availability$/, nameIsFree],
  ]

  return { routes, controls: createIonetControls({ deployments, stock, lies, now }), sweep: deployments.sweep }
}

function linesOf({ createdAt, progressAt, runsAt, order }: IonetDeployment, now: number): string {
  const { traffic_port: port } = order.container_config
  const lines: [at: number, text: string][] = [
    [createdAt, 'deployment requested'],
    [progressAt, `pulling ${order.registry_config.image_url}`],
    [runsAt, `listening on 0.0.0.0:${port}`],
  ]
  return lines
    .filter(([at]) => at <= now)
    .map(([at, text]) => `${new Date(at).toISOString()} ${text}\n`)
    .join('')
}
