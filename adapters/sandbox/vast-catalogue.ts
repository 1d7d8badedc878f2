/**
 * The market of the fake Vast.ai: real GPUs, counts, prices and places from one snapshot of SkyPilot's public catalogue
 * (https://github.com/skypilot-org/skypilot-catalog, Apache-2.0), in vast-catalogue.csv. Everything else about an offer
 * is made up from a seed of its row, so it is the same after every restart.
 */
import { readFileSync } from 'node:fs'
import { seededRandom } from './seeded.ts'

/** A machine under the names, units and types of Vast.ai's search. What depends on the question, the search adds. */
export type VastMachine = ReturnType<typeof machineOf>

/** GB of disk that the catalogue's prices include: what Vast.ai's own client asks for. */
export const defaultStorageGb = 5

/** Compute capability x 100, teraflops, memory bandwidth in GB/s. */
const gpus: Record<string, [computeCap: number, teraflops: number, memoryBandwidth: number]> = {
  B200: [1000, 74.5, 6843.2],
  H200: [900, 60.3, 3892.1],
  'H100 SXM': [900, 53.7, 2580.4],
  'H100 NVL': [900, 48.2, 3034.7],
  'A100 SXM4': [800, 19.5, 1486.6],
  'A100 PCIE': [800, 19.1, 1432.4],
  L40S: [890, 91.6, 692.8],
  A40: [860, 37.4, 599.2],
  'RTX PRO 6000 S': [1200, 109.2, 1362.5],
  'RTX 5090': [1200, 106.1, 1534.6],
  'RTX 6000Ada': [890, 88.5, 783.1],
  'RTX 4090': [890, 81.9, 872.3],
  'RTX 4070S Ti': [890, 43.6, 567.9],
  'RTX 4060 Ti': [890, 21.9, 238.4],
  'RTX A6000': [860, 38.3, 641.5],
  'RTX A2000': [860, 7.9, 254.2],
  'RTX 3090': [860, 35.2, 811.3],
  'RTX 3080': [860, 29.5, 658.1],
  'RTX 3070': [860, 20.1, 383.2],
  'RTX 3060 Ti': [860, 16.1, 383.7],
  'RTX 3060': [860, 12.6, 312.5],
  'Tesla V100': [700, 15.6, 751.9],
}

const cpus = [
  'AMD EPYC 7702 64-Core Processor',
  'AMD EPYC 9354 32-Core Processor',
  'Xeon® Gold 6248',
  'Xeon® Platinum 8480+',
]
const drivers = ['550.144.03', '565.77', '570.124.04', '580.95.05']

/** Reads the file when called, so that a bundle without it can still load this module. */
export function loadVastCatalogue(): VastMachine[] {
  const csv = readFileSync(new URL('./vast-catalogue.csv', import.meta.url), 'utf8')
  return csv.trim().split('\n').slice(1).map(machineOf)
}

function machineOf(line: string, row: number) {
  const [name = '', count, ram, price, place = ''] = line.match(/"[^"]*"|[^,]+/g) ?? []
  const random = seededRandom(row + 1)
  const between = (low: number, high: number) => low + random() * (high - low)
  const whole = (low: number, high: number) => Math.floor(between(low, high + 1))
  const pick = <Item>(items: readonly Item[]) => items[whole(0, items.length - 1)] as Item

  const num_gpus = Number(count)
  const gpu_total_ram = Number(ram)
  const [compute_cap, teraflops, gpu_mem_bw] = gpus[name] ?? [800, 20, 500]
  const id = 20_000_000 + row * 104_729 + whole(0, 9_999)
  const cpu_cores = pick([32, 64, 96, 128, 256])
  const storage_cost = pick([0.1, 0.15, 0.2])
  const dph_base = Number(price) - diskPerHour(storage_cost, defaultStorageGb)
  const reliability = between(0.9, 0.999)
  return {
    id,
    ask_contract_id: id,
    bundle_id: 900_000_000 + whole(0, 99_999_999),
    machine_id: whole(5_000, 49_999),
    host_id: whole(40_000, 199_999),
    num_gpus,
    gpu_name: name,
    // MB: of one GPU, of all, of the machine.
    gpu_ram: gpu_total_ram / num_gpus,
    gpu_total_ram,
    gpu_frac: num_gpus >= 8 ? 1 : num_gpus / 8,
    gpu_arch: 'nvidia',
    gpu_mem_bw,
    compute_cap,
    cuda_max_good: pick([12.4, 12.7, 12.8, 13.0]),
    cpu_name: pick(cpus),
    cpu_cores,
    cpu_cores_effective: (cpu_cores * Math.min(8, num_gpus)) / 8 / pick([1, 1.5, 3]),
    cpu_ghz: pick([2.25, 2.6, 3.25, 3.8]),
    cpu_ram: pick([128_782, 257_650, 515_789, 1_031_858]),
    // GB and MB/s, then Mb/s, then dollars per GB.
    disk_space: between(64, 4_096),
    disk_bw: between(600, 7_000),
    inet_up: between(100, 5_000),
    inet_down: between(200, 8_000),
    inet_up_cost: pick([0, 0.002, 0.005, 0.02]),
    inet_down_cost: pick([0, 0.002, 0.005, 0.01]),
    direct_port_count: whole(0, 500),
    static_ip: random() < 0.7,
    // Dollars per hour without a disk; of the disk, dollars per GB and month.
    dph_base,
    min_bid: dph_base * between(0.4, 0.7),
    storage_cost,
    dlperf: teraflops * num_gpus * between(1.2, 1.6),
    total_flops: teraflops * num_gpus,
    reliability,
    reliability2: reliability,
    rentable: true,
    rented: false,
    external: random() < 0.5 ? false : null,
    hosting_type: random() < 0.3 ? 1 : 0,
    public_ipaddr: `203.0.113.${whole(1, 254)}`,
    geolocation: random() < 0.06 ? null : place.replaceAll('"', ''),
    // A string: the `verified` of a question is no field of the answer.
    verification: random() < 0.85 ? 'verified' : 'unverified',
    driver_version: pick(drivers),
    // Seconds since 1970 UTC, and from now on.
    start_date: between(1_735_689_600, 1_767_225_600),
    duration: between(86_400, 180 * 86_400),
    // Answered and documented nowhere.
    mobo_name: pick(['ROME2D32GM-2T', 'H13SSL-N', 'MZ73-LM0-000']),
    vericode: 1,
    webpage: null,
    avail_vol_ask_id: random() < 0.4 ? id + 1 : null,
  }
}

/** Dollars an hour for a disk priced by the month of 30 days. */
export function diskPerHour(storageCost: number, gigabytes: number): number {
  return (storageCost * gigabytes) / 720
}
