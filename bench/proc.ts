/** What Linux tells about a process and about a core: https://man7.org/linux/man-pages/man5/proc.5.html */
import { readFile, writeFile } from 'node:fs/promises'

/** The kernel's USER_HZ: 100 on every Linux that Node runs on. */
const ticksPerSecond = 100

/** CPU seconds of all threads of a process so far. */
export async function cpuSeconds(pid: number): Promise<number> {
  return parseCpuSeconds(await readFile(`/proc/${pid}/stat`, 'utf8'))
}

export function parseCpuSeconds(stat: string): number {
  // The second field is the program's name in parentheses and may hold spaces; utime and stime are the 14th and 15th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

/** Peak resident memory, in MiB, since the start or the last `resetPeak`. */
export async function peakMib(pid: number): Promise<number> {
  return statusMib(pid, 'VmHWM')
}

/** Resident memory, in MiB, shared pages included. */
export const residentMib = (pid: number) => statusMib(pid, 'VmRSS')

async function statusMib(pid: number, field: string): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024
}

export async function resetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5').catch(() => {}) // Without the right to do so the peak is the whole run's.
}

export interface CoreTimes {
  busy: number
  all: number
}

export async function coreTimes(core: number): Promise<CoreTimes> {
  return parseCoreTimes(await readFile('/proc/stat', 'utf8'), core)
}

export function parseCoreTimes(stat: string, core: number): CoreTimes {
  const line = stat.split('\n').find((each) => each.startsWith(`cpu${core} `))
  // user nice system idle iowait irq softirq steal; guest time is counted in user already.
  const ticks = (line ?? '').split(' ').slice(1, 9).map(Number)
  const all = ticks.reduce((sum, value) => sum + value, 0)
  return { busy: all - (ticks[3] ?? 0) - (ticks[4] ?? 0), all }
}

export function busyShare(before: CoreTimes, after: CoreTimes): number {
  const all = after.all - before.all
  return all > 0 ? (after.busy - before.busy) / all : 0
}

export async function loadAverage(): Promise<number> {
  return Number((await readFile('/proc/loadavg', 'utf8')).split(' ')[0])
}
