/** Vast.ai's JSON of a rented machine. */
import { addressOf, isStopped, type VastContract } from './vast-contracts.ts'

/** `status`: what is said of it, which may be a lie. */
export function instanceOf(contract: VastContract, status: string | null) {
  const { id, machine, order, label, intended } = contract
  const stopped = isStopped(contract)
  const perHour = Number((contract.gpuPerHour + contract.diskPerHour).toFixed(12))
  return {
    id,
    machine_id: machine.machine_id,
    host_id: machine.host_id,
    ask_contract_id: machine.id,
    actual_status: status,
    intended_status: intended,
    cur_state: stopped ? 'stopped' : 'running',
    next_state: intended,
    status_msg: messageOf(status, order.image),
    label: label === '' ? null : label,
    image_uuid: order.image,
    image_args: order.args,
    image_runtype: order.runtype,
    onstart: order.onstart === '' ? null : order.onstart,
    extra_env: order.env,
    is_bid: order.bid !== undefined,
    num_gpus: machine.num_gpus,
    gpu_name: machine.gpu_name,
    gpu_ram: machine.gpu_ram,
    gpu_totalram: machine.gpu_total_ram,
    gpu_util: status === 'running' ? 0 : null,
    gpu_frac: machine.gpu_frac,
    cpu_cores: machine.cpu_cores,
    cpu_cores_effective: machine.cpu_cores_effective,
    cpu_ram: machine.cpu_ram,
    disk_space: order.diskGb,
    inet_up_cost: machine.inet_up_cost,
    inet_down_cost: machine.inet_down_cost,
    storage_cost: machine.storage_cost,
    dph_base: contract.gpuPerHour,
    dph_total: perHour,
    min_bid: machine.min_bid,
    geolocation: machine.geolocation,
    reliability2: machine.reliability2,
    verification: machine.verification,
    start_date: contract.createdAt / 1000,
    end_date: contract.createdAt / 1000 + machine.duration,
    uptime_mins: null,
    ssh_host: 'ssh4.vast.ai',
    ssh_port: 10_000 + (id % 50_000),
    ssh_idx: '4',
    ...publishedOf(contract, status),
    // Answered and documented nowhere.
    vm_state: null,
    webpage: null,
  }
}

function publishedOf(contract: VastContract, status: string | null) {
  const found = contract.order.ports.flatMap((port) => {
    const address = status === 'running' ? addressOf(contract, port) : undefined
    return address ? [{ port, host: address.host, hostPort: String(address.port) }] : []
  })
  if (found.length === 0) {
    return { public_ipaddr: null, ports: null, direct_port_start: -1, direct_port_end: -1, direct_port_count: 0 }
  }
  const binding = ({ port, hostPort }: (typeof found)[number]) => [
    `${port}/tcp`,
    ['0.0.0.0', '::'].map((HostIp) => ({ HostIp, HostPort: hostPort })),
  ]
  return {
    public_ipaddr: found[0]!.host,
    ports: Object.fromEntries(found.map(binding)) as Record<string, { HostIp: string; HostPort: string }[]>,
    direct_port_start: -1,
    direct_port_end: -1,
    direct_port_count: found.length,
  }
}

function messageOf(status: string | null, image: string): string | null {
  if (status === null) return null
  return status === 'running' ? `success, running ${image.replace(':', '_')}/args` : `${status} ${image}`
}
