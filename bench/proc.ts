/** What Linux tells about a process and about a core: https://man7.org/linux/man-pages/man5/proc.5.html */
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'

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
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024
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

const cpuGroups = '/sys/fs/cgroup/cpu'
/** Short, so that a loop which is held back is held back often and briefly. */
const cpuPeriodUs = 5_000

/**
 * Holds a process, with all its threads, to a share of one core; the answer lets go of it again.
 * @throws where there is no cgroup v1 CPU controller that may be written to.
 */
export async function limitCpu(pid: number, share: number): Promise<() => Promise<void>> {
  const group = `${cpuGroups}/gpuproxy-bench-${pid}`
  await mkdir(group)
  await writeFile(`${group}/cpu.cfs_period_us`, String(cpuPeriodUs))
  await writeFile(`${group}/cpu.cfs_quota_us`, String(Math.round(cpuPeriodUs * share)))
  await writeFile(`${group}/cgroup.procs`, String(pid))
  // A group that is left by its last process can be removed.
  return () => rmdir(group)
}
