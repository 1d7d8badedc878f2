/** io.net's JSON of a deployment: dates without a zone, and status words in whatever case each route likes. */
import { endOf, type IonetDeployment, paidMicroUsd } from './ionet-deployments.ts'

/** As Python writes a date that does not know its zone. */
const dateOf = (ms: number) => `${new Date(ms).toISOString().slice(0, -1)}000`

const minuteMs = 60_000

function minutesOf(deployment: IonetDeployment, now: number) {
  const { runsAt, hours } = deployment
  const served = Math.floor(Math.max(0, Math.min(now, endOf(deployment)) - runsAt) / minuteMs)
  const remaining = Math.max(0, hours * 60 - served)
  return {
    compute_minutes_served: served,
    compute_minutes_remaining: remaining,
    completed_percent: (100 * served) / (hours * 60),
  }
}

/** `status`: what is said of it, which may be a lie. */
export function rowOf(deployment: IonetDeployment, status: string, now: number) {
  const { id, name, row, order, createdAt } = deployment
  return {
    id,
    status: status.toUpperCase(),
    name,
    hardware_quantity: order.gpus_per_container * order.container_config.replica_count,
    brand_name: row.model.brand,
    hardware_name: row.model.name,
    ...minutesOf(deployment, now),
    created_at: dateOf(createdAt),
  }
}

export function detailOf(deployment: IonetDeployment, status: string, now: number) {
  const { id, row, order, createdAt, runsAt } = deployment
  const { entrypoint, env_variables, secret_env_variables, traffic_port, replica_count } = order.container_config
  const { id: locationId, iso2, name } = row.location
  const isOver = endOf(deployment) <= now
  return {
    id,
    status: status.slice(0, 1).toUpperCase() + status.slice(1),
    created_at: dateOf(createdAt),
    started_at: runsAt <= now ? dateOf(runsAt) : null,
    finished_at: isOver ? dateOf(endOf(deployment)) : null,
    amount_paid: paidMicroUsd(deployment) / 1e6,
    total_gpus: order.gpus_per_container * replica_count,
    gpus_per_container: order.gpus_per_container,
    total_containers: replica_count,
    hardware_name: row.model.name,
    hardware_id: row.model.id,
    locations: [{ id: locationId, iso2, name }],
    brand_name: row.model.brand,
    ...minutesOf(deployment, now),
    container_config: {
      entrypoint: entrypoint ?? [],
      env_variables: env_variables ?? {},
      secret_env_keys: Object.keys(secret_env_variables ?? {}),
      traffic_port: traffic_port ?? null,
      image_url: order.registry_config.image_url,
    },
  }
}

export function workersOf(deployment: IonetDeployment, status: string) {
  const { id, row, order, createdAt, progressAt, published, hosts } = deployment
  const { traffic_port: port } = order.container_config
  return hosts.map((host, index) => {
    const address = port == null ? undefined : host.address(port)
    const url = published ?? (address && `http://${address.host}:${address.port}`)
    return {
      device_id: `${id.slice(0, -12)}${(index + 1).toString(16).padStart(12, 'd')}`,
      container_id: containerId(deployment, index),
      hardware: row.model.name,
      brand_name: row.model.brand,
      created_at: dateOf(createdAt),
      uptime_percent: 100,
      gpus_per_container: order.gpus_per_container,
      status,
      container_events: [{ time: dateOf(progressAt), message: `Pulling ${order.registry_config.image_url}` }],
      public_url: status === 'running' ? (url ?? '') : '',
    }
  })
}

export const containerId = ({ id }: IonetDeployment, index: number) => `${id.slice(-12)}-${index}`
